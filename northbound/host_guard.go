package northbound

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// DescribeHostGuard returns the firewall rules that a host needs whose transport address is on no bridge.
func (s *tunnelService) DescribeHostGuard(ctx context.Context, req *v1.DescribeHostGuardRequest) (*v1.DescribeHostGuardResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	h, err := findHost(v, "host", req.GetHost())
	if err != nil {
		return nil, err
	}
	peers := guardedPeers(v, h.GetUuid())
	out := &v1.DescribeHostGuardResponse{Nftables: nftables(h.GetNameLabel())}
	for _, p := range peers {
		out.Peers = append(out.Peers, p.String())
	}
	return out, nil
}

// guardedPeers are the addresses of the hosts that share an encrypted network with one.
func guardedPeers(v *raftstore.View, hostUUID string) []netip.Addr {
	var out []netip.Addr
	for _, k := range v.PairKeysOfHost(hostUUID) {
		peer := k.GetHostA()
		if peer == hostUUID {
			peer = k.GetHostB()
		}
		address := v.Host(peer).GetTransportAddress()
		if address == "" {
			address = v.HostFacts(peer).GetTransportAddress()
		}
		if a, err := netip.ParseAddr(address); err == nil {
			out = append(out, a.Unmap())
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// nftables is a rule set for nft -f that replaces itself in one step. "rt ipsec missing" and "meta ipsec missing" are
// true of packets that IPsec has not touched (nft(8), ROUTING EXPRESSIONS and META EXPRESSIONS).
//
// It names no peer: whoever becomes one later, and wherever it moves, is kept from being spoken to in clear all the same.
func nftables(host string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Keeps VXLAN, Geneve and GRE from leaving or reaching %s unless IPsec protects them. Needs Linux 4.20 or later.\n", host)
	fmt.Fprint(&b, "table inet poolwire_guard\ndelete table inet poolwire_guard\ntable inet poolwire_guard {\n")
	for _, chain := range []struct{ hook, ipsec string }{{"output", "rt ipsec missing"}, {"input", "meta ipsec missing"}} {
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority filter - 10; policy accept;\n", chain.hook, chain.hook)
		fmt.Fprintf(&b, "\t\tudp dport { 4789, 6081 } %s drop\n\t\tmeta l4proto gre %s drop\n\t}\n", chain.ipsec, chain.ipsec)
	}
	fmt.Fprint(&b, "}\n")
	return b.String()
}
