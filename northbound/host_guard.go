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
	out := &v1.DescribeHostGuardResponse{Nftables: nftables(h.GetNameLabel(), peers)}
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

// nftables is a rule set for nft -f that replaces itself in one step. "rt ipsec missing" and "meta secpath missing" are
// true of packets that IPsec has not touched (nft(8), ROUTING EXPRESSIONS and META EXPRESSIONS).
func nftables(host string, peers []netip.Addr) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Keeps tunnel packets of encrypted networks from leaving or reaching %s in clear.\n", host)
	fmt.Fprint(&b, "table inet poolwire_guard\ndelete table inet poolwire_guard\ntable inet poolwire_guard {\n")
	for _, chain := range []struct{ hook, ipsec, address string }{
		{"output", "rt ipsec missing", "daddr"}, {"input", "meta ipsec missing", "saddr"},
	} {
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority filter - 10; policy accept;\n", chain.hook, chain.hook)
		for _, p := range peers {
			family, proto := "ip", "ip protocol"
			if p.Is6() {
				family, proto = "ip6", "meta l4proto"
			}
			fmt.Fprintf(&b, "\t\t%s %s %s udp dport { 4789, 6081 } %s drop\n", family, chain.address, p, chain.ipsec)
			fmt.Fprintf(&b, "\t\t%s %s %s %s gre %s drop\n", family, chain.address, p, proto, chain.ipsec)
		}
		fmt.Fprint(&b, "\t}\n")
	}
	fmt.Fprint(&b, "}\n")
	return b.String()
}
