package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) pkiCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Say what is not as it should be with certificates, and the next command for each", Args: cobra.NoArgs,
		Long: `Say what is not as it should be with certificates, and the next command for each: what ends within 30 days
without another one in its place; which node or host presents one that was revoked, is not on record or is not its latest; what
has been superseded and is still good; whose certificate is good although it is no member, or no registered host, any more; whose latest
certificate is of a CA that is gone; and whether the CA is being rotated. Clients' certificates are known by their records alone.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				list, err := examine(ctx, api)
				if err != nil {
					return err
				}
				if a.structured() {
					return a.printJSON(map[string][]finding{"findings": list})
				}
				if len(list) == 0 {
					a.say("nothing to do")
					return nil
				}
				return printTable(a.streams.Out, list, findingColumns, true)
			})
		},
	}
}

// finding is something to be done.
type finding struct {
	Whose   string `json:"whose"`
	Finding string `json:"finding"`
	Next    string `json:"next"`
}

var findingColumns = []column[finding]{
	{title: "WHOSE", value: func(f finding) string { return f.Whose }},
	{title: "FINDING", value: func(f finding) string { return f.Finding }},
	{title: "NEXT", value: func(f finding) string { return f.Next }},
}

// examine asks for all that is known.
func examine(ctx context.Context, api *client) ([]finding, error) {
	records, err := listCertificates(ctx, api, &poolwirev1.ListCertificatesRequest{All: true})
	if err != nil {
		return nil, err
	}
	nodes, err := api.cluster.ListNodes(ctx, &poolwirev1.ListNodesRequest{})
	if err != nil {
		return nil, err
	}
	hosts, _, err := api.listHosts(ctx, "")
	if err != nil {
		return nil, err
	}
	rotation, err := api.pki.GetCaRotation(ctx, &poolwirev1.GetCaRotationRequest{})
	if err != nil {
		return nil, err
	}
	return newExamination(time.Now()).all(records, nodes.GetNodes(), hosts, rotation.GetRotation()), nil
}

// examination judges certificates at a moment.
type examination struct {
	now       time.Time
	latest    map[string]*poolwirev1.Certificate // of each owner, of those that are good
	newest    map[string]*poolwirev1.Certificate // of each owner, of those that are good and those whose CA is gone
	known     map[string]*poolwirev1.Certificate // by SHA-256
	presented map[string]bool                    // by SHA-256
	out       []finding
}

func newExamination(now time.Time) *examination {
	return &examination{now: now, latest: map[string]*poolwirev1.Certificate{}, newest: map[string]*poolwirev1.Certificate{},
		known: map[string]*poolwirev1.Certificate{}, presented: map[string]bool{}}
}

func (e *examination) all(records []*poolwirev1.Certificate, nodes []*poolwirev1.NodeStatus, hosts []*poolwirev1.Host, r *poolwirev1.CaRotation) []finding {
	for _, c := range records {
		e.known[c.GetSha256()] = c
		if e.good(c) {
			later(e.latest, c)
		}
		if e.inForce(c) {
			later(e.newest, c)
		}
	}
	for _, n := range nodes {
		e.node(n, records)
	}
	for _, h := range hosts {
		e.host(h)
	}
	there := present(nodes, hosts)
	for _, c := range records {
		switch here := there(c); {
		case e.good(c) && here:
			e.record(c, records)
		case e.good(c):
			e.left(c)
		case e.newest[ownerText(c)] == c && here && c.GetKind() != poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE:
			e.gone(c)
		}
	}
	if len(r.GetAnchors()) > 1 {
		e.found("the CA", "is being rotated", "poolwire pki rotate status")
	}
	return e.out
}

// present tells whether the owner of a certificate is a member of the cluster or a registered host; of clients there is no list.
func present(nodes []*poolwirev1.NodeStatus, hosts []*poolwirev1.Host) func(*poolwirev1.Certificate) bool {
	members, registered := map[string]bool{}, map[string]bool{}
	for _, n := range nodes {
		members[n.GetNode().GetId()] = true
	}
	for _, h := range hosts {
		registered[h.GetUuid()] = true
	}
	return func(c *poolwirev1.Certificate) bool {
		switch c.GetKind() {
		case poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE:
			return members[c.GetName()]
		case poolwirev1.CertificateKind_CERTIFICATE_KIND_HOST, poolwirev1.CertificateKind_CERTIFICATE_KIND_IPSEC:
			return registered[c.GetName()]
		}
		return true
	}
}

func (e *examination) found(whose, what, next string) {
	e.out = append(e.out, finding{whose, what, next})
}

// later keeps what was issued last.
func later(of map[string]*poolwirev1.Certificate, c *poolwirev1.Certificate) {
	was := of[ownerText(c)]
	if was == nil || c.GetIssueTime().AsTime().After(was.GetIssueTime().AsTime()) {
		of[ownerText(c)] = c
	}
}

// inForce says whether a certificate is neither revoked nor expired.
func (e *examination) inForce(c *poolwirev1.Certificate) bool {
	return c.GetRevokeTime() == nil && c.GetNotAfter().AsTime().After(e.now)
}

// good says whether who presents a certificate is accepted.
func (e *examination) good(c *poolwirev1.Certificate) bool { return e.inForce(c) && !caIsGone(c) }

// caIsGone says whether a certificate is of a CA that is trusted no longer.
func caIsGone(c *poolwirev1.Certificate) bool {
	return c.GetTrust() == poolwirev1.CertificateTrust_CERTIFICATE_TRUST_GONE
}

// ownerText names the owner of a certificate, as "client alice".
func ownerText(c *poolwirev1.Certificate) string {
	name := c.GetName()
	if c.GetLabel() != "" {
		name = c.GetLabel()
	}
	return strings.ToLower(enumWord(c.GetKind().String(), "CERTIFICATE_KIND_")) + " " + name
}

// node looks at what a node presents; of one that has not told nothing is said.
func (e *examination) node(n *poolwirev1.NodeStatus, records []*poolwirev1.Certificate) {
	id := n.GetNode().GetId()
	if n.GetCertificateSerial() == "" {
		return
	}
	i := slices.IndexFunc(records, func(c *poolwirev1.Certificate) bool {
		return c.GetSerial() == n.GetCertificateSerial() && c.GetIssuer() == n.GetCertificateIssuer()
	})
	switch {
	case i < 0:
		e.found("node "+id, "presents a certificate that is not on record: "+n.GetCertificateSerial(), "the log of the node says why")
	case records[i].GetRevokeTime() != nil:
		e.found("node "+id, "presents a certificate that was revoked: the others refuse it",
			fmt.Sprintf("poolwire pki issue node %s --address ADDRESS --dir DIR, the files into its pki_dir", id))
	case caIsGone(records[i]):
		e.found("node "+id, "presents a certificate of a CA that is gone: the others refuse it",
			fmt.Sprintf("poolwire pki issue node %s --address ADDRESS --dir DIR, the files into its pki_dir", id))
	default:
		e.presented[records[i].GetSha256()] = true
	}
}

// host looks at what a host has shown when its session began.
func (e *examination) host(h *poolwirev1.Host) {
	shown := h.GetStatus().GetCertificate()
	if shown.GetIssuer() == "" {
		return // none, or one of its own
	}
	whose := "host " + h.GetNameLabel()
	e.presented[shown.GetSha256()] = true
	c := e.known[shown.GetSha256()]
	last := e.latest[whose]
	switch {
	case c == nil:
		e.found(whose, "presents a certificate that is not on record", "poolwire pki export-host "+h.GetNameLabel()+" --dir DIR")
	case last != nil && last.GetSha256() != shown.GetSha256():
		e.found(whose, "presents another certificate than its latest, "+last.GetSerial(), "put that on the host; there: ovs-appctl -t ovsdb-server ovsdb-server/reconnect")
	}
}

// record looks at a certificate that is good.
func (e *examination) record(c *poolwirev1.Certificate, records []*poolwirev1.Certificate) {
	whose, last := ownerText(c), e.latest[ownerText(c)]
	if left := c.GetNotAfter().AsTime().Sub(e.now); last == c && left < warnCertificate {
		e.found(whose, fmt.Sprintf("ends in %d days", int(left.Hours()/24)), nextOf(c))
	}
	superseded := last != c && !e.presented[c.GetSha256()]
	if c.GetKind() == poolwirev1.CertificateKind_CERTIFICATE_KIND_CLIENT {
		// A client may have several; only one that was renewed is known to be needed no more.
		superseded = slices.ContainsFunc(records, func(o *poolwirev1.Certificate) bool {
			return e.good(o) && o.GetRenewedFromSerial() == c.GetSerial() && o.GetRenewedFromIssuer() == c.GetIssuer()
		})
	}
	if superseded {
		e.found(whose, fmt.Sprintf("has another certificate; this one is good until %s", moment(c.GetNotAfter())),
			"poolwire pki revoke --only-these "+c.GetSerial())
	}
}

// left looks at a good certificate whose owner is not there: a node that was removed or has not joined yet, a host that was
// deleted. Whoever has the key goes on being that node or host.
func (e *examination) left(c *poolwirev1.Certificate) {
	whose := ownerText(c)
	if e.latest[whose] != c {
		return
	}
	what, unless := "is not registered", ""
	if c.GetKind() == poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE {
		what, unless = "is no member of the cluster", ", unless it is to join"
	}
	kind, _, _ := strings.Cut(whose, " ")
	e.found(whose, fmt.Sprintf("%s, and has a certificate that is good until %s", what, moment(c.GetNotAfter())),
		fmt.Sprintf("poolwire pki revoke --kind %s --name %s%s", kind, c.GetName(), unless))
}

// gone looks at a certificate that is the latest of its owner, and of a CA that is gone: after a rotation that was finished or
// aborted although not everybody was ready for that. What was issued before it, of a CA that is trusted, its owner may not have any more.
func (e *examination) gone(c *poolwirev1.Certificate) {
	whose, next := ownerText(c), nextOf(c)
	if c.GetKind() == poolwirev1.CertificateKind_CERTIFICATE_KIND_CLIENT {
		next = fmt.Sprintf("poolwire pki issue client %s --role %s --dir DIR", c.GetName(), cmp.Or(c.GetRole(), "none"))
	}
	if last := e.latest[whose]; last != nil {
		e.found(whose, "has as its latest a certificate of a CA that is gone; an earlier one is good: "+last.GetSerial(),
			next+"; or, if it has the earlier one: poolwire pki revoke --only-these "+c.GetSerial())
		return
	}
	e.found(whose, "has only certificates of a CA that is gone", next)
}

// nextOf is how a certificate is replaced.
func nextOf(c *poolwirev1.Certificate) string {
	name := strings.TrimSpace(c.GetLabel())
	switch c.GetKind() {
	case poolwirev1.CertificateKind_CERTIFICATE_KIND_HOST:
		return "poolwire pki export-host " + name + " --dir DIR"
	case poolwirev1.CertificateKind_CERTIFICATE_KIND_IPSEC:
		return "poolwire pki export-host --ipsec " + name + " --dir DIR"
	case poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE:
		return "it renews itself: its log says why it does not; by hand: poolwire pki issue node " + c.GetName() + " --address ADDRESS --dir DIR"
	}
	return "the client runs: poolwire pki renew"
}
