package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const ruleAddLong = `Add a rule for a VIF, a VIF group, a network, a pool or everything.

Mandatory rules are asked first, from the outside in: global, pool, network, VIF
group, VIF. Then rules of XCP-ng's form (add-rule), then the other rules, from
the inside out, then the network's default action. The first match decides; in
one level the higher priority, and at equal priority a denial.

A rule decides over sessions: replies to what it allows pass, and a session that
it denies is cut at once. --stateless looks at every packet by itself.

--from and --to name the other end and the direction: addresses and prefixes,
group:NAME, vif-group:NAME or mac:MAC. With --both use --remote.

ARP, and neighbour discovery (icmpv6 types 133 to 137), are decided over only by
rules that name them.`

func (a *app) ruleAdd() *cobra.Command {
	var f policyRuleFlags
	var where scopeFlags
	var live sessionFlags
	var uuid string
	c := &cobra.Command{
		Use: "add", Short: "Add a rule for a VIF, a VIF group, a network, a pool or everything", Long: ruleAddLong, Args: cobra.NoArgs,
		Example: "  poolwire rule add --group web --allow --inbound --protocol tcp --local-port 80,443 --name web-in\n" +
			"  poolwire rule add --pool paris --mandatory --drop --to 198.51.100.0/24 --expires 7d\n" +
			"  poolwire rule add --vif xcp1/vif1.0 --reject --from group:scanners --dry-run",
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		at, err := where.read()
		if err == nil {
			err = at.required()
		}
		if err != nil {
			return err
		}
		req := &poolwirev1.CreatePolicyRuleRequest{PolicyRule: &poolwirev1.PolicyRule{Uuid: uuid, Level: at.level}}
		if req.Sessions, req.SessionsHost, err = live.read(a, cmd); err != nil {
			return err
		}
		return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
			if _, err := f.apply(ctx, api, cmd, req.PolicyRule); err != nil {
				return err
			}
			if err := decided(req.PolicyRule); err != nil {
				return err
			}
			if req.PolicyRule.ScopeUuid, err = at.resolve(ctx, api); err != nil {
				return err
			}
			r, err := api.policy.CreatePolicyRule(ctx, req)
			if err != nil {
				return err
			}
			return a.settlePolicyRule(ctx, api, "added", r.GetPolicyRule(), r.GetRevision())
		})
	}
	where.register(c)
	f.register(c)
	live.register(c)
	c.Flags().StringVar(&uuid, "uuid", "", "UUID; made by the server when not given")
	return c
}

// decided refuses a rule without action or direction: a forgotten one must not
// open or close anything.
func decided(r *poolwirev1.PolicyRule) error {
	switch {
	case r.GetAction() == 0:
		return usageError{errors.New("what should happen? Give --allow, --drop or --reject")}
	case r.GetDirection() == 0:
		return usageError{errors.New("which way? Give --inbound, --outbound or --both (--from and --to say it too)")}
	}
	return nil
}

func (a *app) ruleUpdate() *cobra.Command {
	var f policyRuleFlags
	var live sessionFlags
	c := &cobra.Command{
		Use: "update RULE", Short: "Change a rule that 'rule add' made; its level and scope stay", Args: cobra.ExactArgs(1),
		Example: "  poolwire rule update web-in --local-port 443\n  poolwire rule update web-in --disabled\n  poolwire rule update web-in --remote any",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireChange(cmd, live.names()...); err != nil {
				return err
			}
			sessions, host, err := live.read(a, cmd)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				var before string
				var r *poolwirev1.UpdatePolicyRuleResponse
				err := edited(ctx, func() error {
					rule, compat, err := api.findRule(ctx, args[0])
					if err != nil {
						return err
					}
					if compat != nil {
						return usageError{fmt.Errorf("rule %s is of XCP-ng's form: change it with del-rule and add-rule", args[0])}
					}
					mask, err := f.apply(ctx, api, cmd, rule)
					if err != nil {
						return err
					}
					before = rule.GetEtag()
					r, err = api.policy.UpdatePolicyRule(ctx, &poolwirev1.UpdatePolicyRuleRequest{
						PolicyRule: rule, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}, Sessions: sessions, SessionsHost: host,
					})
					return err
				})
				if err != nil {
					return err
				}
				return a.settlePolicyRule(ctx, api, did(before, r.GetPolicyRule()), r.GetPolicyRule(), r.GetRevision())
			})
		},
	}
	f.register(c)
	live.register(c)
	return c
}

// settlePolicyRule reports a change of a rule, with what is odd about it, and
// waits for it.
func (a *app) settlePolicyRule(ctx context.Context, api *client, what string, r *poolwirev1.PolicyRule, revision uint64) error {
	line := fmt.Sprintf("rule %s %s", r.GetUuid(), what)
	switch {
	case r.GetNameLabel() != "" && what == unchanged:
		line = fmt.Sprintf("rule %s %s", r.GetNameLabel(), what)
	case r.GetNameLabel() != "":
		line = fmt.Sprintf("rule %s %s (%s)", r.GetNameLabel(), what, r.GetUuid())
	}
	if state := r.GetRealization(); state.GetState() == poolwirev1.RealizationState_REALIZATION_STATE_PENDING {
		line += "; pending: " + state.GetMessage()
	}
	for _, w := range r.GetWarnings() {
		fmt.Fprintln(a.streams.Err, "warning: "+clean(w))
	}
	return settle(ctx, a, mutation[*poolwirev1.PolicyRule]{
		line: line, item: r,
		reread: func(ctx context.Context) (*poolwirev1.PolicyRule, error) {
			now, err := api.policy.GetPolicyRule(ctx, &poolwirev1.GetPolicyRuleRequest{PolicyRule: r.GetUuid()})
			return now.GetPolicyRule(), err
		},
	}, a.confirmed(ctx, api, revision))
}

// sessionFlags give a dry run the live sessions of a host to judge.
type sessionFlags struct{ file, host string }

func (f *sessionFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "sessions", "", "with --dry-run: judge live sessions, lines of 'ovs-appctl dpctl/dump-conntrack' in this file; - reads standard input")
	c.Flags().StringVar(&f.host, "sessions-host", "", "the host the sessions are from")
}

// names lists the flags of register.
func (*sessionFlags) names() []string { return []string{"sessions", "sessions-host"} }

// read reads the sessions; none when the flags are not given.
func (f *sessionFlags) read(a *app, c *cobra.Command) (lines []string, host string, err error) {
	switch {
	case f.file == "" && f.host == "":
		return nil, "", nil
	case f.file == "" || f.host == "":
		return nil, "", usageError{errors.New("--sessions and --sessions-host: give both")}
	case !a.changes.dryRun:
		return nil, "", usageError{fmt.Errorf("--sessions: only with --%s", dryRunFlag)}
	}
	a.changes.sessions = f.host
	lines, err = readLines(c, "--sessions", f.file)
	return lines, f.host, err
}

// maxFile bounds a file of lines, in bytes: more than any list the API takes.
const maxFile = 8 << 20

// readLines reads the lines of a file, those that are empty left out; "-" is
// standard input.
func readLines(c *cobra.Command, flag, name string) ([]string, error) {
	in := c.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", flag, err)}
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, usageError{fmt.Errorf("%s %q: %w", flag, name, err)}
	}
	if len(b) > maxFile {
		return nil, usageError{fmt.Errorf("%s %q: longer than %d bytes", flag, name, maxFile)}
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out, nil
}
