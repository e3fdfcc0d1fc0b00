package flowcompiler

import (
	"testing"

	"poolwire/southbound/openflow/flow"
)

// goldenRules has a rule of each kind, of several levels.
func goldenRules() Input {
	in := policedInput(
		vifRule(401, func(r *PolicyRule) {
			r.Inbound, r.Protocol, r.LocalPorts = true, protoTCP, []PortRange{{22, 22}, {8080, 8083}}
		}),
		vifRule(402, func(r *PolicyRule) {
			r.Outbound, r.Action, r.KeepEstablished, r.Remote = true, Reject, true, PolicyRemote{Prefixes: prefixes("203.0.113.0/24", "2001:db8:5::/64")}
		}),
		vifRule(403, func(r *PolicyRule) {
			r.Inbound, r.Outbound, r.Protocol, r.ICMPType, r.ICMPCode = true, true, protoICMP, 8, 0
		}),
		vifRule(404, func(r *PolicyRule) {
			r.Inbound, r.Outbound, r.Protocol, r.Remote = true, true, ARPProtocol, PolicyRemote{Prefixes: prefixes("192.0.2.1")}
		}),
		vifRule(405, func(r *PolicyRule) {
			r.Inbound, r.Outbound, r.Action, r.Remote = true, true, Drop, PolicyRemote{MACs: []flow.MAC{macX}}
		}),
		vifRule(406, func(r *PolicyRule) {
			r.Outbound, r.Protocol, r.RemotePorts, r.Stateless = true, protoUDP, ports(53), true
		}),
		vifRule(407, func(r *PolicyRule) { r.Outbound, r.Section, r.VLANs = true, Mandatory, []uint16{10} }),
	)
	in.VIFs[0].Groups, in.VIFs[1].Groups, in.VIFs[1].Zone = []uint32{300, 301}, []uint32{301}, 8
	in.Policies[PolicyScope{Level: Global}] = []PolicyRule{
		vifRule(411, func(r *PolicyRule) {
			r.Outbound, r.Section, r.Action, r.Protocol, r.ICMPType = true, Mandatory, Drop, protoICMPv6, redirect
		}),
	}
	in.Policies[PolicyScope{Level: Pool}] = []PolicyRule{
		vifRule(412, func(r *PolicyRule) { r.Inbound, r.Protocol = true, protoICMPv6 }),
	}
	in.Policies[PolicyScope{OfNetwork, netUntagged}] = []PolicyRule{
		vifRule(413, func(r *PolicyRule) { r.Inbound, r.Section, r.Protocol, r.Action = true, Mandatory, 47, Drop }),
	}
	in.Policies[PolicyScope{OfGroup, 300}] = []PolicyRule{
		vifRule(414, func(r *PolicyRule) {
			r.Inbound, r.Protocol, r.LocalPorts, r.Remote = true, protoTCP, ports(80, 443, 8000), PolicyRemote{Prefixes: manyPrefixes(8)}
		}),
	}
	in.Policies[PolicyScope{OfGroup, 301}] = []PolicyRule{
		vifRule(415, func(r *PolicyRule) { r.Outbound, r.Action, r.Priority = true, Drop, 10 }),
	}
	return in
}

func TestGoldenRules(t *testing.T) {
	t.Parallel()
	for _, table := range []Table{TableMandatoryOut, TableDefaultOut, TableMandatoryIn, TableDefaultIn} {
		t.Run(table.String(), func(t *testing.T) {
			t.Parallel()
			golden(t, table, "base", Input{})
			golden(t, table, "rules", goldenRules())
		})
	}
}

func TestGoldenSubjects(t *testing.T) {
	t.Parallel()
	golden(t, TableClassify, "policed", goldenRules())
	golden(t, TableInState, "base", Input{})
	golden(t, TableInState, "policed", goldenRules())
	untracked := policedInput()
	golden(t, TableInState, "untracked", untracked)
}
