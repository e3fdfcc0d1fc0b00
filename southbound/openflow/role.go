package openflow

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Role is a controller role (enum ofp_controller_role, section 6.3.5).
type Role uint32

// Roles.
const (
	// RoleEqual: full access, the state of a new connection. The generation id is ignored.
	RoleEqual Role = 1
	// RoleMaster: full access; whoever was master becomes slave.
	RoleMaster Role = 2
	// RoleSlave: read only.
	RoleSlave Role = 3
)

// String implements fmt.Stringer.
func (r Role) String() string {
	switch r {
	case RoleEqual:
		return "equal"
	case RoleMaster:
		return "master"
	case RoleSlave:
		return "slave"
	}
	return fmt.Sprintf("role %d", uint32(r))
}

// roleRequest is an OFPT_ROLE_REQUEST (section 7.3.9).
func roleRequest(xid uint32, role Role, generation uint64) []byte {
	b := appendHeader(make([]byte, 0, 24), typeRoleRequest, 24, xid)
	b = binary.BigEndian.AppendUint32(b, uint32(role))
	b = append(b, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint64(b, generation)
}

func decodeRoleReply(body []byte) (Role, error) {
	if len(body) != 16 {
		return 0, protocolErrorf("role reply of %d bytes, want 24", headerLen+len(body))
	}
	return Role(binary.BigEndian.Uint32(body)), nil
}

// SetRole claims a role. The switch keeps the highest generation seen per bridge
// and refuses master and slave claims below it (compared as a signed difference)
// with ErrStaleGeneration. It forgets the generation when it restarts.
//
// A connection that never claims a role is equal and may change flows; fencing
// therefore needs every controller to claim master or slave at once.
func (s *Switch) SetRole(ctx context.Context, role Role, generation uint64) error {
	err := s.conn.request(ctx,
		func(xid uint32) []byte { return roleRequest(xid, role, generation) },
		expect(typeRoleReply, func(body []byte) error {
			got, err := decodeRoleReply(body)
			if err == nil && got != role {
				err = protocolErrorf("asked for role %v, was given %v", role, got)
			}
			return err
		}))
	if err != nil {
		return fmt.Errorf("claiming the %v role with generation %d: %w", role, generation, err)
	}
	return nil
}
