package controller

import (
	"slices"
	"testing"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// TestRestrictedVIFsArePeersOnTheirOwnHostToo: what they have sent may come back from outside,
// and is theirs still.
func TestRestrictedVIFsArePeersOnTheirOwnHostToo(t *testing.T) {
	t.Parallel()
	w, hosts, vifs := twoHosts(t)
	w.do(putVif(&poolwirev1.Vif{Uuid: vifs[0], Isolation: poolwirev1.Isolation_ISOLATION_ISOLATED}, false))
	w.settle()
	mac, err := flow.ParseMAC(macOf(1))
	if err != nil {
		t.Fatal(err)
	}
	for i, host := range hosts {
		m := newModel(w.view(), w.view().Host(host), "xenbr0", portNumbers{}, false)
		if got := m.peers(m.networkOn("xenbr0")); !slices.Equal(got, []flowcompiler.Peer{{MAC: mac, Isolation: flowcompiler.Isolated}}) {
			t.Errorf("host %d: peers %v", i+1, got)
		}
	}
}
