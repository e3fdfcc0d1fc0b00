package controller

import (
	"fmt"

	"poolwire/adoption"
	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// model translates one bridge of one host from the store's words into the
// compiler's. It reads one consistent view and writes nothing.
type model struct {
	view *raftstore.View
	host *poolwirev1.Host
	// bridge is the real bridge.
	bridge string
	ports  portNumbers
	// admit lets ports pass that nobody has classified.
	admit bool
	// noMeters is for a switch without meters, noTracker for one whose datapath has no connection tracker with zones.
	noMeters, noTracker bool
	// judged is what rules decide over.
	judged judged
	// noAdverts is for a switch that cannot make neighbour advertisements.
	noAdverts bool
	// guardAll guards the host against everybody.
	guardAll bool
	// ends are those of the host's tunnels, by the names of their interfaces; nil where they do not matter.
	ends map[string]linkEnd
	// closed are the OpenFlow numbers of the ports that NORMAL does not flood to.
	closed map[uint32]bool
	// known remembers what networkOn found: it is asked for every port. groups and
	// numbered remember what VIF groups stand for, and the communities of networks.
	known map[string]bridgeNetwork
	// heard remembers what listening found.
	heard map[string]map[flow.MAC]flowcompiler.Group
	// adoptions remembers what the tunnels of networks that are being taken over are for.
	adoptions map[string]adoption.Uses
	groups    map[string]flowcompiler.PolicyRemote
	numbered  map[uint32]map[string]uint16
	// groupUUIDs has the VIF groups of the VIFs that were described, by object id.
	groupUUIDs map[uint32]string
}

func newModel(view *raftstore.View, host *poolwirev1.Host, bridge string, ports portNumbers, admit bool) model {
	return model{
		view: view, host: host, bridge: bridge, ports: ports, admit: admit, known: map[string]bridgeNetwork{},
		heard: map[string]map[flow.MAC]flowcompiler.Group{}, adoptions: map[string]adoption.Uses{},
		groups: map[string]flowcompiler.PolicyRemote{}, numbered: map[uint32]map[string]uint16{}, groupUUIDs: map[uint32]string{},
	}
}

func (m model) isOverlay() bool { return m.bridge == overlayBridge }

// base describes the bridge itself.
func (m model) base() flowcompiler.Bridge {
	b := flowcompiler.Bridge{Kind: flowcompiler.NetworkBridge, AdmitUnclassified: m.admit}
	if m.isOverlay() {
		b.Kind, b.AdmitUnclassified = flowcompiler.OverlayBridge, false
	}
	if row := m.view.Bridge(m.host.GetUuid(), m.bridge); row != nil {
		b.LocalMAC, _ = flow.ParseMAC(row.GetMac())
	}
	version := m.view.HostFacts(m.host.GetUuid()).GetOvsVersion()
	b.NoLearnLimit, b.NoPolicies, b.NoMeters = predates(version, 2, 8), noPolicies(version) || m.noTracker, m.noMeters
	b.GuardAll, b.NoAnswers, b.NoTracker = m.guardAll, m.judged.arp, m.noTracker
	b.NoAdverts = m.judged.nd || m.noAdverts || predates(version, 2, 11)
	for _, name := range m.networkBridges() {
		// A port that nobody knows yet may be on any of them.
		if n := m.networkOn(name); n.Private || n.DefaultLocking == flowcompiler.Disabled {
			b.AdmitUnclassified = false
		}
	}
	return b
}

// noPolicies reports whether an Open vSwitch version is too old for policies: 2.9 is
// the first to match the tuple of a connection and to forget it.
func noPolicies(version string) bool { return predates(version, 2, 9) }

// predates reports whether an Open vSwitch version ("2.5.3") is older than
// major.minor. One that is not known is taken for a present one.
func predates(version string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(version, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a < major || a == major && b < minor
}
