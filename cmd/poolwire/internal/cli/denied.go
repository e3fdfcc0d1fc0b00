package cli

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const deniedLong = `Print packets that rules, or a network's default action, deny, as it happens and
until interrupted: time, what was done, direction, VIF, the packet and the rule.

It is a sample: at most 20 packets a second of each bridge. 'rule hits' counts
all of them.

With -o json or yaml: one JSON object a line, as the API sends them.`

func (a *app) deniedCommand() *cobra.Command {
	req := &poolwirev1.WatchDeniedRequest{}
	c := &cobra.Command{
		Use: "denied", Short: "Print packets that rules deny, until interrupted", Long: deniedLong, Args: cobra.NoArgs,
		Example: "  poolwire denied\n  poolwire denied --vif xcp1/vif1.0\n  poolwire denied --rule no-telnet -o json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.denied(cmd.Context(), req) },
	}
	c.Flags().StringVar(&req.Vif, "vif", "", "only packets to or from this VIF, whichever end's rules denied them, by UUID, name, MAC or HOST/vif1.0")
	c.Flags().StringVar(&req.Rule, "rule", "", "only packets that this rule denied, by name or UUID")
	return c
}

// denied has no deadline: it ends when the user or the server ends it.
func (a *app) denied(ctx context.Context, req *poolwirev1.WatchDeniedRequest) error {
	api, err := a.api()
	if err != nil {
		return err
	}
	stream, err := api.policy.WatchDenied(ctx, req)
	if err != nil {
		return err
	}
	known := newDirectory()
	for {
		r, err := stream.Recv()
		if status.Code(err) == codes.Canceled && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := a.printDenied(ctx, api, known, r); err != nil {
			return err
		}
	}
}

func (a *app) printDenied(ctx context.Context, api *client, known *directory, r *poolwirev1.WatchDeniedResponse) error {
	if a.structured() {
		b, err := toJSON(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.streams.Out, "%s\n", b)
		return err
	}
	if r.GetLost() > 0 {
		a.say("(%s lost here: this client reads too slowly)", plural(r.GetLost(), "sample"))
	}
	vif := a.nameOf(known.vifs, r.GetVifUuid(), func(uuid string) string {
		v, err := api.vifs.GetVif(ctx, &poolwirev1.GetVifRequest{Vif: uuid})
		if err != nil {
			return uuid
		}
		return vifLabel(v.GetVif())
	})
	rule := a.nameOf(known.policyRules, r.GetRuleUuid(), func(uuid string) string {
		p, err := api.policy.GetPolicyRule(ctx, &poolwirev1.GetPolicyRuleRequest{PolicyRule: uuid})
		if err != nil {
			return uuid
		}
		return policyRuleLabel(p.GetPolicyRule())
	})
	by := "the network's default action"
	if rule != "" {
		by = "rule " + joinSet(": ", rule, r.GetRuleText())
	}
	a.say("%s  %-6s  %-8s  %s on %s/%s  %s  by %s", moment(r.GetTime()), ruleActionWord(r.GetAction()), trafficWord(r.GetDirection()), vif,
		r.GetHostNameLabel(), r.GetBridge(), packetText(r), by)
	return nil
}

// maxNames bounds how many names a stream that never ends remembers.
const maxNames = 10000

// nameOf looks a name up once.
func (a *app) nameOf(known map[string]string, uuid string, find func(string) string) string {
	if uuid == "" {
		return ""
	}
	if name, ok := known[uuid]; ok {
		return name
	}
	if len(known) >= maxNames {
		clear(known)
	}
	known[uuid] = find(uuid)
	return known[uuid]
}

// IP protocol numbers with a name (IANA), and the EtherType of ARP.
const (
	protocolICMP   = 1
	protocolTCP    = 6
	protocolUDP    = 17
	protocolICMPv6 = 58
	protocolSCTP   = 132
	etherTypeARP   = 0x0806
)

// packetText writes a packet: tcp 192.0.2.7:40000 > 192.0.2.8:22.
func packetText(r *poolwirev1.WatchDeniedResponse) string {
	from, to := r.GetSourceAddress(), r.GetDestinationAddress()
	if from == "" && to == "" {
		return fmt.Sprintf("ethertype 0x%04x %s > %s", r.GetEthertype(), r.GetSourceMac(), r.GetDestinationMac())
	}
	if r.GetEthertype() == etherTypeARP {
		return fmt.Sprintf("arp %s > %s", from, to)
	}
	withPorts := func(name string) string {
		source, destination := strconv.FormatUint(uint64(r.GetSourcePort()), 10), strconv.FormatUint(uint64(r.GetDestinationPort()), 10)
		return fmt.Sprintf("%s %s > %s", name, net.JoinHostPort(from, source), net.JoinHostPort(to, destination))
	}
	switch r.GetIpProtocol() {
	case protocolTCP:
		return withPorts("tcp")
	case protocolUDP:
		return withPorts("udp")
	case protocolSCTP:
		return withPorts("sctp")
	case protocolICMP:
		return fmt.Sprintf("icmp %s > %s type %d code %d", from, to, r.GetSourcePort(), r.GetDestinationPort())
	case protocolICMPv6:
		return fmt.Sprintf("icmpv6 %s > %s type %d code %d", from, to, r.GetSourcePort(), r.GetDestinationPort())
	}
	return fmt.Sprintf("protocol %d %s > %s", r.GetIpProtocol(), from, to)
}
