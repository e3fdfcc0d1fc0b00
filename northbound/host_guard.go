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
	out := &v1.DescribeHostGuardResponse{Nftables: nftables(h.GetNameLabel()), Iptables: iptables(h.GetNameLabel())}
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
	fmt.Fprintf(&b, "# Keeps VXLAN, Geneve and GRE from leaving or reaching %s unless IPsec protects them.\n", host)
	fmt.Fprint(&b, "# Needs Linux 4.20 or later. Older kernels, as that of XCP-ng 8 (4.19), take the rules of 'poolwire host guard --iptables'.\n")
	fmt.Fprint(&b, "table inet poolwire_guard\ndelete table inet poolwire_guard\ntable inet poolwire_guard {\n")
	for _, chain := range []struct{ hook, ipsec string }{{"output", "rt ipsec missing"}, {"input", "meta ipsec missing"}} {
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority filter - 10; policy accept;\n", chain.hook, chain.hook)
		fmt.Fprintf(&b, "\t\tudp dport { 4789, 6081 } %s drop\n\t\tmeta l4proto gre %s drop\n\t}\n", chain.ipsec, chain.ipsec)
	}
	fmt.Fprint(&b, "}\n")
	return b.String()
}

// iptables is a script of rules for kernels that nftables cannot ask about IPsec: "policy --pol none" is true of packets that
// no IPsec policy applies to (iptables-extensions(8), policy). A script, because a rule that is there already must neither fail nor
// be there twice, and no moment may be without it. New rules come first, before any that lets packets pass.
//
// GRE is named by its number, which needs no /etc/protocols.
func iptables(host string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Keeps VXLAN, Geneve and GRE from leaving or reaching %s unless IPsec protects them.\n", host)
	fmt.Fprint(&b, "# For kernels before Linux 4.20, as that of XCP-ng 8; newer ones take the rules of 'poolwire host guard', too.\n")
	fmt.Fprint(&b, "set -e\nfor tables in iptables ip6tables; do\n\tfor rule in")
	for _, way := range []struct{ chain, dir string }{{"OUTPUT", "out"}, {"INPUT", "in"}} {
		for _, packets := range []string{"udp -m multiport --dports 4789,6081", "47"} {
			fmt.Fprintf(&b, " \\\n\t\t\"%s -p %s -m policy --dir %s --pol none -j DROP\"", way.chain, packets, way.dir)
		}
	}
	fmt.Fprint(&b, "\n\tdo\n\t\t$tables -w -C $rule 2>/dev/null || $tables -w -I $rule\n\tdone\ndone\n")
	return b.String()
}
