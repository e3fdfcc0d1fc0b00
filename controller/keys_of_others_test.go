package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// TestNoHostGetsKeysOfOthers: of four hosts in two encrypted networks, and with keys of every pair, what is written to a host
// has the key of each tunnel's own pair, and no key of a pair that it is not in.
func TestNoHostGetsKeysOfOthers(t *testing.T) {
	t.Parallel()
	s := newState(t)
	pool := s.pool(1)
	hosts, name := []string{}, map[string]string{}
	for i := range 4 {
		h := hostIntent(pool, i+1)
		h.NameLabel = fmt.Sprintf("h%d", i+1)
		hosts, name[fmt.Sprintf("10.0.0.%d", i+1)] = append(hosts, h.GetUuid()), h.GetUuid()
		s.do(putHost(h, true))
		s.do(observe(&storev1.ObserveHost{HostUuid: h.GetUuid(), Facts: &storev1.HostFacts{OvsVersion: "3.1.0", TransportAddress: fmt.Sprintf("10.0.0.%d", i+1)}}))
	}
	slices.Sort(hosts)
	for i, members := range [][]string{hosts[:3], hosts[2:]} {
		pn := &poolwirev1.PrivateNetwork{Uuid: uuidOf("cccc", i+1), NameLabel: fmt.Sprint("net", i), Vni: uint32(i + 1), Bridge: fmt.Sprint("pw", i+1), Mtu: 1400, Encrypted: true}
		for _, uuid := range members {
			pn.Members = append(pn.Members, hostMember(uuid))
		}
		s.do(putPrivate(pn, true))
	}
	var keys []*storev1.PairKey
	for i, a := range hosts {
		for _, b := range hosts[i+1:] {
			if s.view().PairKey(a, b) == nil {
				keys = append(keys, &storev1.PairKey{HostA: a, HostB: b, Generation: 1, SealedPsk: []byte(a + " and " + b)})
			}
		}
	}
	s.do(&storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{Put: keys}}})
	peers := map[string]int{hosts[0]: 2, hosts[1]: 2, hosts[2]: 3, hosts[3]: 1}
	for _, host := range hosts {
		found := map[string]bool{}
		for _, b := range desiredRows(s.view(), rowsInput{hostUUID: host, cluster: "c", epoch: 1, secrets: openSealer{}}).Bridges {
			for _, p := range b.Ports {
				if text := fmt.Sprint(p.Options, p.ExternalIDs, p.BFD); strings.Contains(text, " and ") {
					t.Errorf("%s: a key stands elsewhere than where it is kept secret: %s", p.Name, text)
				}
				if p.PSK.IsZero() {
					continue
				}
				peer := name[p.Options["remote_ip"]]
				a, b := min(host, peer), max(host, peer)
				switch got := p.PSK.Reveal(); {
				case got == a+" and "+b:
					found[peer] = true
				case strings.Contains(got, " and "):
					t.Errorf("%s has tunnel %s to %s (%v) with key %q", host, p.Name, peer, p.Options, got)
				} // else a companion, whose key is known to nobody
			}
		}
		if len(found) != peers[host] {
			t.Errorf("%s has keys with %v, want %d", host, found, peers[host])
		}
	}
}
