package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const auditLong = `See who has changed what, when and from where, and prove that nothing of it is
missing. Every change of what was asked for is recorded, those that the controller
makes by itself too; so are refused changes. What hosts report is not.

The role pool-admin is needed in the whole cluster.`

func (a *app) auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "See who has changed what, and prove that nothing of it is missing", Long: auditLong}
	c.AddCommand(a.auditList(), a.auditShow(), a.auditWatch(), a.auditVerify())
	return c
}

var auditColumns = []column[*poolwirev1.AuditRecord]{
	{title: "SEQ", value: func(r *poolwirev1.AuditRecord) string { return fmt.Sprint(r.GetSequence()) }},
	{title: "TIME", value: func(r *poolwirev1.AuditRecord) string { return moment(r.GetTime()) }},
	{title: "WHO", value: func(r *poolwirev1.AuditRecord) string { return r.GetWho() }},
	{title: "FROM", value: func(r *poolwirev1.AuditRecord) string { return r.GetAddress() }},
	{title: "CREDENTIAL", value: func(r *poolwirev1.AuditRecord) string { return r.GetCredential() }, wide: true},
	{title: "VIA", value: func(r *poolwirev1.AuditRecord) string { return r.GetVia() }, wide: true},
	{title: "METHOD", value: auditMethod},
	{title: "REVISION", value: func(r *poolwirev1.AuditRecord) string { return fmt.Sprint(r.GetRevision()) }, wide: true},
	{title: "OUTCOME", value: auditOutcome},
	{title: "CHANGE", value: func(r *poolwirev1.AuditRecord) string { return r.GetSummary() }, clip: 100},
}

// auditMethod is the last part of a method, or the command of what the controller does by itself.
func auditMethod(r *poolwirev1.AuditRecord) string {
	if m := r.GetMethod(); m != "" {
		return m[strings.LastIndex(m, "/")+1:]
	}
	return r.GetCommand()
}

func auditOutcome(r *poolwirev1.AuditRecord) string {
	if r.GetOutcome() == poolwirev1.AuditOutcome_AUDIT_OUTCOME_REFUSED {
		return strings.ToLower(r.GetCode())
	}
	return strings.ToLower(strings.TrimPrefix(r.GetOutcome().String(), "AUDIT_OUTCOME_"))
}

// auditFlags are what records are picked by.
type auditFlags struct{ since, until, who, method, kind, object, outcome, vif string }

func (f *auditFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.who, "who", "", `only what this client did; "controller" for what the controller did by itself`)
	c.Flags().StringVar(&f.method, "method", "", "only calls of this method: UpdatePolicyRule")
	c.Flags().StringVar(&f.kind, "kind", "", "only changes of objects of this kind: pool, host, network, private-network, vif, rule, policy-rule, address-group, vif-group, node, settings, pair-key, certificate, trust-anchor, grant, token")
	c.Flags().StringVar(&f.object, "object", "", "only changes of this object, by UUID or by the name it had; of certificates, grants and tokens by whose they are")
	c.Flags().StringVar(&f.outcome, "outcome", "", "only ok, refused or duplicate")
	c.Flags().StringVar(&f.vif, "vif", "", "only what changed what applies to this VIF, by UUID, name, MAC or HOST/vif1.0")
}

func (f *auditFlags) filter() (*poolwirev1.AuditFilter, error) {
	out := &poolwirev1.AuditFilter{Who: f.who, Method: f.method, Kind: strings.ReplaceAll(f.kind, "-", "_"), Object: f.object, Vif: f.vif}
	if f.outcome != "" {
		n, err := parseEnum(poolwirev1.AuditOutcome_value, "AUDIT_OUTCOME_", "outcome", f.outcome)
		if err != nil {
			return nil, err
		}
		out.Outcome = poolwirev1.AuditOutcome(n)
	}
	var err error
	if out.Since, err = momentFlag("since", f.since); err != nil {
		return nil, err
	}
	out.Until, err = momentFlag("until", f.until)
	return out, err
}

func (a *app) auditList() *cobra.Command {
	var f auditFlags
	var limit uint32
	var oldest bool
	c := &cobra.Command{
		Use: "list", Short: "List audit records, the newest first", Args: cobra.NoArgs,
		Long: "List audit records, the newest first, with what was changed in one line. Times are " + momentForms + ".",
		Example: "  poolwire audit list --since \"2h ago\"\n  poolwire audit list --who ada --kind policy-rule\n" +
			"  poolwire audit list --outcome refused -o wide",
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter()
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				return a.listAudit(ctx, api, &poolwirev1.ListAuditRecordsRequest{Filter: filter, OldestFirst: oldest}, limit)
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&f.since, "since", "", "only what was done at this time or later")
	c.Flags().StringVar(&f.until, "until", "", "only what was done before this time")
	c.Flags().Uint32Var(&limit, "limit", 50, "at most this many records; 0 for all")
	c.Flags().BoolVar(&oldest, "oldest-first", false, "the oldest first")
	return c
}

// listAudit prints records up to a limit, 0 for none.
func (a *app) listAudit(ctx context.Context, api *client, req *poolwirev1.ListAuditRecordsRequest, limit uint32) error {
	var records []*poolwirev1.AuditRecord
	for {
		req.PageSize = pageSize
		if left := limit - uint32(len(records)); limit > 0 && left < pageSize {
			req.PageSize = left
		}
		page, err := api.audit.ListAuditRecords(ctx, req)
		if err != nil {
			return err
		}
		records = append(records, page.GetRecords()...)
		req.PageToken = page.GetNextPageToken()
		if req.GetPageToken() == "" || limit > 0 && uint32(len(records)) >= limit {
			break
		}
	}
	if err := printList(a, records, auditColumns); err != nil {
		return err
	}
	if req.GetPageToken() != "" {
		a.say("there are more; see them with --limit 0")
	}
	return nil
}

func (a *app) auditShow() *cobra.Command {
	return &cobra.Command{
		Use: "show SEQ", Short: "Show one audit record: every change, before and after", Args: cobra.ExactArgs(1),
		Example: "  poolwire audit show 4711\n  poolwire audit show 4711 -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usageError{fmt.Errorf("SEQ %q: use the number of a record; 'poolwire audit list' shows them", args[0])}
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.audit.GetAuditRecord(ctx, &poolwirev1.GetAuditRecordRequest{Sequence: n})
				if err != nil {
					return err
				}
				return a.printAudit(r.GetRecord())
			})
		},
	}
}

func (a *app) printAudit(r *poolwirev1.AuditRecord) error {
	if a.structured() {
		return a.printMessage(r)
	}
	for _, line := range [][2]string{
		{"record", fmt.Sprint(r.GetSequence())}, {"time", moment(r.GetTime())},
		{"who", r.GetWho()}, {"credential", r.GetCredential()}, {"from", r.GetAddress()}, {"via", r.GetVia()},
		{"method", r.GetMethod()}, {"command", r.GetCommand()}, {"request id", r.GetRequestId()},
		{"revision", fmt.Sprint(r.GetRevision())}, {"outcome", auditOutcome(r)}, {"reason", r.GetReason()},
		{"hash", r.GetHash()},
	} {
		if line[1] != "" {
			a.say("%-12s%s", line[0], line[1])
		}
	}
	if r.GetCalls() > 0 {
		a.say("%-12s%d", "calls", r.GetCalls())
	}
	for _, c := range r.GetChanges() {
		a.say("")
		a.say("%s", c.GetSummary())
		a.say("  %-10s%s %s", "object", strings.ReplaceAll(c.GetKind(), "_", " "), c.GetId())
		for _, side := range [][2]string{{"before", c.GetBeforeJson()}, {"after", c.GetAfterJson()}, {"added", strings.Join(c.GetAdded(), " ")}, {"lost", strings.Join(c.GetLost(), " ")}} {
			if side[1] != "" && side[1] != "{}" {
				a.say("  %-10s%s", side[0], side[1])
			}
		}
	}
	if n := r.GetOmitted(); n > 0 {
		a.say("")
		a.say("%s more, too many or too large for a record", plural(uint64(n), "change"))
	}
	if r.GetBreak() {
		a.say("what was before this record cannot be worked out from the records")
	}
	return nil
}

const auditWatchLong = `Print audit records as they are made, until interrupted.

With -o json: one JSON object a line. A program that sends them elsewhere notes the
sequence of the last one it has passed on, and goes on with --from of the next one:
none is left out and none comes twice. Records that were dropped meanwhile are an
error (exit code 2), never a silent gap.`

func (a *app) auditWatch() *cobra.Command {
	var f auditFlags
	var from uint64
	c := &cobra.Command{
		Use: "watch", Short: "Print audit records as they are made, until interrupted", Long: auditWatchLong, Args: cobra.NoArgs,
		Example: "  poolwire audit watch\n  poolwire audit watch --from 1 -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter()
			if err != nil {
				return err
			}
			return a.watchAudit(cmd.Context(), &poolwirev1.WatchAuditRecordsRequest{FromSequence: from, Filter: filter})
		},
	}
	f.register(c)
	c.Flags().Uint64Var(&from, "from", 0, "begin with this record; 0 means from now on")
	return c
}

// watchAudit has no deadline: it ends when the user or the server ends it.
func (a *app) watchAudit(ctx context.Context, req *poolwirev1.WatchAuditRecordsRequest) error {
	api, err := a.api()
	if err != nil {
		return err
	}
	stream, err := api.audit.WatchAuditRecords(ctx, req)
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if ctx.Err() != nil && status.Code(err) == codes.Canceled {
			return nil
		}
		if err != nil {
			return err
		}
		r := m.GetRecord()
		if r == nil {
			continue
		}
		if a.structured() {
			b, err := toJSON(r)
			if err != nil {
				return err
			}
			if b, err = onOneLine(b); err != nil {
				return err
			}
			if _, err = fmt.Fprintf(a.streams.Out, "%s\n", b); err != nil {
				return err
			}
			continue
		}
		a.say("%6d  %s  %s  %s  %s", r.GetSequence(), moment(r.GetTime()), r.GetWho(), auditMethod(r), r.GetSummary())
	}
}

// onOneLine takes the white space out of JSON.
func onOneLine(b []byte) ([]byte, error) {
	if !json.Valid(b) {
		return nil, errors.New("the answer is no JSON")
	}
	return json.Marshal(json.RawMessage(b))
}
