package flowcompiler

import "poolwire/southbound/openflow/flow"

// LearnedFlow is the flow that a switch makes by itself when a VIF has sent from a MAC address that
// is not its own: on a network, by the objects' ids, the address leads to the VIF. It is there for
// those who follow a packet through what is compiled, which holds no such flow.
func LearnedFlow(network, vif uint32, mac flow.MAC) flow.Flow {
	return flow.Flow{
		Table: uint8(TableLearned), Priority: bandLearned.Low, Cookie: LearnedCookie(vif, 0), HardTimeout: learnedTimeout,
		Match:        FieldNetwork.match(flow.NewMatch(), network).EthDst(mac).Build(),
		Instructions: flow.Apply(FieldDestination.load(vif)),
	}
}
