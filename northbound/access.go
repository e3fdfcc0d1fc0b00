package northbound

import (
	"cmp"
	"slices"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
)

// permission says who may call a method.
type permission struct {
	// role is the lowest role that may.
	role Role
	// reach is how far that role has to reach.
	reach reach
	// effect is whether it changes anything.
	effect effect
}

// effect says what a method does to the state, the log or the keys of the cluster.
type effect int

// The effects.
const (
	// effectRead: nothing.
	effectRead effect = iota
	// effectWrite: it changes something, or makes what somebody may come with, as certificates.
	effectWrite
)

// reach is how far a caller's role has to reach for a method. That a caller has a role in the whole cluster is enough
// for every method that needs no higher one.
type reach int

// The reaches, from nothing to everything.
const (
	// reachNobody is that of methods without a line in the table.
	reachNobody reach = iota
	// reachAnyone: for whoever has proved who he is, whatever he has been granted.
	reachAnyone
	// reachNetwork: for who has the role for a network, a pool or the cluster. A read shows what the caller may see.
	// Of a change, all that it touches must be covered by what he has been granted.
	reachNetwork
	// reachPool is reachNetwork for what a grant for a network does not cover.
	reachPool
	// reachCluster: for who has the role in the whole cluster.
	reachCluster
)

// String returns what the documentation calls it.
func (r reach) String() string {
	switch r {
	case reachAnyone:
		return "anyone"
	case reachNetwork:
		return "network"
	case reachPool:
		return "pool"
	case reachCluster:
		return "cluster"
	}
	return "nobody"
}

// flag is what a grant that reaches as far has on the command line.
func (r reach) flag() string {
	switch r {
	case reachNetwork:
		return " --network NETWORK"
	case reachPool:
		return " --pool POOL"
	}
	return ""
}

// access returns the lowest role that may call a method, RoleNone for one that nobody may call.
func access(method string) Role { return permissions[method].role }

// mutates tells whether a method changes something.
func mutates(method string) bool { return permissions[method].effect == effectWrite }

// guarded tells whether it is worth a record when somebody calls a method who may not: changes, and what only pool-admins
// may read in the whole cluster.
func guarded(method string) bool {
	p := permissions[method]
	return p.effect == effectWrite || p.role == RolePoolAdmin && p.reach == reachCluster
}

// Permission is one line of the table of who may call what.
type Permission struct {
	// Method is service and method: "PoolService/GetPool"; methods of other packages have theirs in front.
	Method string
	// Role is the lowest role that may call it; RoleNone for everyone who is known.
	Role Role
	// Reach is what the role must have been granted for at least: "cluster", "pool" or "network"; "anyone" for nothing.
	Reach string
}

// Permissions returns the table of who may call what, by method.
func Permissions() []Permission {
	var out []Permission
	for method, p := range permissions {
		one := Permission{Method: shortMethod(method), Role: p.role, Reach: p.reach.String()}
		if p.reach == reachAnyone {
			one.Role = RoleNone
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Permission) int { return cmp.Compare(a.Method, b.Method) })
	return out
}

// shortMethod turns "/poolwire.v1.RuleService/AddRule" into "RuleService/AddRule".
func shortMethod(method string) string {
	return strings.TrimPrefix(strings.TrimPrefix(method, "/"), string(v1.File_poolwire_v1_pool_proto.Package())+".")
}
