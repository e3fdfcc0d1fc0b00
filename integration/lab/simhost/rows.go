package simhost

import (
	"crypto/sha256"
	"fmt"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"

	"poolwire/southbound/ovsdb"
)

// VIF is one of a host's.
type VIF struct {
	// Port is the name of its port, the other texts are what XAPI writes.
	Port, UUID, VMUUID, MAC string
}

// VIF is VIF i, from 1.
func (o Options) VIF(i int) VIF {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", o.UUID, i))
	return VIF{
		Port: fmt.Sprintf("vif%d.0", i), UUID: uuidOf(sum[:16]), VMUUID: uuidOf(sum[16:]),
		MAC: fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", sum[0], sum[1], sum[2], sum[3], sum[4]),
	}
}

// uuidOf makes a UUID of 16 bytes (RFC 9562, version 8).
func uuidOf(sum []byte) string {
	b := [16]byte(sum)
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// networkUUID is XAPI's UUID of the network on every host's bridge.
func networkUUID() string {
	sum := sha256.Sum256([]byte(Bridge))
	return uuidOf(sum[:16])
}

// rows are what a host has of its own: a bridge with an uplink and VIFs.
func (o Options) rows() []ovsdb.Operation {
	var ops []ovsdb.Operation
	var ports []any
	add := func(name, kind string, ids map[any]any) {
		number := len(ports)
		iface, port := fmt.Sprintf("i%d", number), fmt.Sprintf("p%d", number)
		ops = append(ops,
			insert("Interface", iface, libovsdb.Row{"name": name, "type": kind, "external_ids": libovsdb.OvsMap{GoMap: ids}}),
			insert("Port", port, libovsdb.Row{"name": name, "interfaces": references(iface)}))
		ports = append(ports, libovsdb.UUID{GoUUID: port})
	}
	add(Bridge, "internal", nil)
	add("eth0", "", nil)
	for i := range o.VIFs {
		v := o.VIF(i + 1)
		add(v.Port, "", map[any]any{
			"xs-vif-uuid": v.UUID, "xs-vm-uuid": v.VMUUID, "xs-network-uuid": networkUUID(), "attached-mac": v.MAC,
		})
	}
	return append(ops,
		insert("Bridge", "bridge", libovsdb.Row{
			"name": Bridge, "fail_mode": libovsdb.OvsSet{GoSet: []any{"standalone"}}, "ports": libovsdb.OvsSet{GoSet: ports},
			"external_ids": libovsdb.OvsMap{GoMap: map[any]any{"xs-network-uuids": networkUUID()}},
		}),
		ovsdb.Operation{Op: libovsdb.OperationMutate, Table: "Open_vSwitch", Where: []libovsdb.Condition{}, Mutations: []libovsdb.Mutation{
			{Column: "bridges", Mutator: libovsdb.MutateOperationInsert, Value: references("bridge")},
		}})
}

func insert(table, name string, row libovsdb.Row) ovsdb.Operation {
	return ovsdb.Operation{Op: libovsdb.OperationInsert, Table: table, UUIDName: name, Row: row}
}

func references(name string) libovsdb.OvsSet {
	return libovsdb.OvsSet{GoSet: []any{libovsdb.UUID{GoUUID: name}}}
}
