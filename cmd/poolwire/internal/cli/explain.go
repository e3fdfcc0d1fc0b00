package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const explainLong = `Say what becomes of a packet, and why: the verdict, the rule that decides, the
walk through the flow tables of every host it passes, and what would have to
change for another verdict. The answer comes from the flows as they are compiled
for the switches; no packet is sent.

The other end is an address, a MAC address or another VIF, whose address
--remote-address tells. With --to the VIF sends the packet, with --from it is
sent to the VIF. A packet that opens a session is asked about, unless
--established or --reply say otherwise.

Where part of the way is not known, or an address is made up that rules tell
apart from others, the answer begins with "as far as is known" and says what it
depends on.

Of what a VIF sends to a multicast group on a private network it says whom that
goes to: who has joined the group, where the multicast routers are, and which of
them get it, by which hosts.

With -o wide every step shows the flow that matched.`

// explainFlags describe a packet.
type explainFlags struct {
	to, from             string
	port, source         uint32
	icmpType, icmpCode   string
	question             poolwirev1.ExplainRequest
	protocol, protocolIs string
}

func (a *app) explainCommand() *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use: "explain", Short: "Say what becomes of a packet, and which rule decides", Long: explainLong, Args: cobra.NoArgs,
		Example: "  poolwire explain --vif xcp1/vif1.0 --to 10.0.0.7 --proto tcp --port 22\n" +
			"  poolwire explain --vif web1 --from 2001:db8::9 --proto icmpv6 --icmp-type 128 -o wide\n" +
			"  poolwire explain --vif web1 --to db1 --proto tcp --port 5432 --established\n" +
			"  poolwire explain --vif tv1 --to 239.1.2.3 --proto udp --port 5004\n" +
			"  poolwire explain --vif gw1 --to 192.0.2.9 --local-address 192.0.2.100 --source-mac 00:00:5e:00:01:33",
		RunE: func(cmd *cobra.Command, _ []string) error {
			req, err := f.request(cmd)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.policy.Explain(ctx, req)
				if err != nil {
					return err
				}
				return a.printExplanation(r)
			})
		},
	}
	p, q := c.Flags(), &f.question
	p.StringVar(&q.Vif, "vif", "", "the VIF whose traffic is asked about, by UUID, name, MAC or HOST/vif1.0 (required)")
	p.StringVar(&f.to, "to", "", "the VIF sends to this address, MAC address or VIF")
	p.StringVar(&f.from, "from", "", "this address, MAC address or VIF sends to the VIF")
	p.StringVar(&f.protocol, "proto", "", "any, tcp, udp, icmp, icmpv6, arp, sctp or an IP protocol number (default tcp)")
	p.StringVar(&f.protocolIs, "protocol", "", "the same as --proto")
	p.Uint32Var(&f.port, "port", 0, "destination port, 0 to 65535")
	p.Uint32Var(&f.source, "source-port", 0, "source port, 0 to 65535 (default 40000)")
	p.StringVar(&f.icmpType, "icmp-type", "", "ICMP or ICMPv6 type (default echo request)")
	p.StringVar(&f.icmpCode, "icmp-code", "", "ICMP or ICMPv6 code")
	p.StringVar(&q.LocalAddress, "local-address", "", "address of the VIF (default: its first allowed one)")
	p.StringVar(&q.RemoteAddress, "remote-address", "", "address of the other end, when --to or --from name a VIF or a MAC address")
	p.StringVar(&q.SourceMac, "source-mac", "", "MAC address the packet is sent from: that of a virtual router or of a pair (default: the sender's own)")
	p.Uint32Var(&q.Vlan, "vlan", 0, "802.1Q tag the VM puts on; 0 for none")
	p.BoolVar(&q.Reply, "reply", false, "the packet belongs to a session that was opened in the other direction")
	p.BoolVar(&q.Established, "established", false, "the packet belongs to a session that is established")
	return c
}

// request checks the flags; what the values mean is the server's to judge.
func (f *explainFlags) request(cmd *cobra.Command) (*poolwirev1.ExplainRequest, error) {
	q := &f.question
	switch {
	case q.GetVif() == "":
		return nil, usageError{errors.New("--vif: required; 'poolwire vif list' shows the VIFs")}
	case (f.to == "") == (f.from == ""):
		return nil, usageError{errors.New("--to and --from: give one of them, the other end of the packet")}
	case f.protocol != "" && f.protocolIs != "":
		return nil, usageError{errors.New("--proto and --protocol: give one of them")}
	}
	q.Direction, q.Remote = poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND, f.to
	if f.from != "" {
		q.Direction, q.Remote = poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND, f.from
	}
	q.Protocol = strings.ToLower(f.protocol + f.protocolIs)
	if cmd.Flags().Changed("port") {
		q.Port = &f.port
	}
	if cmd.Flags().Changed("source-port") {
		q.SourcePort = &f.source
	}
	var err error
	if q.IcmpType, err = octet("--icmp-type", f.icmpType); err != nil {
		return nil, err
	}
	q.IcmpCode, err = octet("--icmp-code", f.icmpCode)
	return q, err
}

// printExplanation writes the verdict first, then who decided, then the walk,
// then what would have to change.
func (a *app) printExplanation(r *poolwirev1.ExplainResponse) error {
	if a.structured() {
		return a.printMessage(r)
	}
	a.say("%s: %s", dash(enumWord(r.GetVerdict().String(), "VERDICT_")), r.GetSummary())
	if err := a.printDecider(r.GetDecidedBy()); err != nil {
		return err
	}
	if err := a.printMulticast(r.GetMulticast()); err != nil {
		return err
	}
	a.sayList("it depends on", r.GetDependsOn())
	if err := a.printSteps(r); err != nil {
		return err
	}
	a.sayList("what would have to change", r.GetRemedies())
	a.sayList("taken for granted", r.GetAssumptions())
	if r.GetPacket() != "" && a.flags.output == "wide" {
		a.sayList("packet, as ofproto/trace takes it", []string{r.GetPacket()})
	}
	return nil
}

// printDecider writes the rule, or the default action, that decided.
func (a *app) printDecider(e *poolwirev1.PolicyEntry) error {
	if e == nil {
		return nil
	}
	a.say("")
	w := tabwriter.NewWriter(a.streams.Out, 0, 0, 2, ' ', 0)
	field := func(title, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %s\t%s\n", title, clean(value))
		}
	}
	line := policyLine{PolicyEntry: e}
	place := joinSet(" ", entryLevel(line), e.GetScope())
	if !e.GetDefaultAction() {
		field("decided by", joinSet(" ", "rule", e.GetNameLabel(), e.GetRuleUuid()))
		place = joinSet(", ", place, entrySection(line), fmt.Sprintf("priority %d", e.GetPriority()))
	} else {
		field("decided by", "the network's default action")
	}
	field("level", place)
	field("it says", joinSet(" ", ruleActionWord(e.GetAction()), e.GetMatch()))
	if e.GetRevision() > 0 {
		field("made by", joinSet(", ", e.GetAuthor(), fmt.Sprintf("revision %d", e.GetRevision())))
	}
	for _, warning := range e.GetWarnings() {
		field("warning", warning)
	}
	return w.Flush()
}

// printSteps writes the walk, bridge by bridge. Of a flow, wide output shows the
// text.
func (a *app) printSteps(r *poolwirev1.ExplainResponse) error {
	w := tabwriter.NewWriter(a.streams.Out, 0, 0, 2, ' ', 0)
	at := ""
	for _, s := range r.GetSteps() {
		if here := clean(s.GetHost() + " " + s.GetBridge()); here != at {
			// Columns are aligned bridge by bridge.
			if err := w.Flush(); err != nil {
				return err
			}
			at = here
			fmt.Fprintf(a.streams.Out, "\non %s\n", at)
		}
		fmt.Fprintf(w, "  %3d\t%s\t%s\n", s.GetTable(), dash(clean(s.GetTableName())), stepText(s))
		if a.flags.output == "wide" && s.GetFlow() != "" {
			fmt.Fprintf(w, "  \t\t  %s\n", clean(strings.TrimSpace(s.GetFlow())))
		}
	}
	return w.Flush()
}

// stepText says what a table decided. Where the server has no words for a flow,
// the flow itself stands.
func stepText(s *poolwirev1.ExplainStep) string {
	switch {
	case s.GetDecides() != "":
		return clean(s.GetDecides())
	case s.GetFlow() != "":
		return clean(strings.TrimSpace(s.GetFlow()))
	}
	return "nothing matches"
}

// sayList writes lines under a title, nothing when there are none.
func (a *app) sayList(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	a.say("")
	a.say("%s", title)
	for _, l := range lines {
		a.say("  %s", l)
	}
}
