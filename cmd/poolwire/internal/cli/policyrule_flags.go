package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// policyRuleFlags are the fields a user sets on a rule.
type policyRuleFlags struct {
	action, direction          string
	protocol                   string
	localPorts, remotePorts    []string
	icmpType, icmpCode         string
	remote, from, to           []string
	vlans                      []string
	priority                   uint32
	expires, name, description string

	mandatory, stateless, keep, disabled bool
}

func (f *policyRuleFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.Bool("allow", false, "let matching traffic pass")
	p.Bool("drop", false, "let matching traffic vanish")
	p.Bool("reject", false, "drop matching traffic and tell its sender")
	p.StringVar(&f.action, "action", "", "allow, drop or reject, instead of the flags above")
	p.Bool("inbound", false, "what is sent to the VM")
	p.Bool("outbound", false, "what the VM sends")
	p.Bool("both", false, "both directions")
	p.StringVar(&f.direction, "direction", "", "inbound, outbound or both, instead of the flags above")
	p.BoolVar(&f.mandatory, "mandatory", false, "levels further in cannot override the rule")
	p.Uint32Var(&f.priority, "priority", 0, "0 to 65535; the highest of a level wins (new rules: 32768)")
	p.StringVar(&f.protocol, "protocol", "", "any, tcp, udp, icmp, icmpv6, arp, sctp or an IP protocol number")
	p.StringSliceVar(&f.localPorts, "local-port", nil, "ports of the VM, single or ranges, separated by commas: 22,8000-8080")
	p.StringSliceVar(&f.remotePorts, "remote-port", nil, "ports of the other end")
	p.StringVar(&f.icmpType, "icmp-type", "", "ICMP or ICMPv6 type, 0 to 255, or any")
	p.StringVar(&f.icmpCode, "icmp-code", "", "ICMP or ICMPv6 code, 0 to 255, or any")
	p.StringSliceVar(&f.remote, "remote", nil, "the other end: addresses and prefixes separated by commas, group:NAME, vif-group:NAME, mac:MAC, or any")
	p.StringSliceVar(&f.from, "from", nil, "--remote of an inbound rule")
	p.StringSliceVar(&f.to, "to", nil, "--remote of an outbound rule")
	p.StringSliceVar(&f.vlans, "vlan", nil, "802.1Q tags as the VM sees them, single or ranges; empty: tagged or not")
	p.BoolVar(&f.stateless, "stateless", false, "look at every packet by itself, not at sessions")
	p.BoolVar(&f.keep, "keep-established", false, "a drop or reject leaves established sessions to the rest of the policy")
	p.BoolVar(&f.disabled, "disabled", false, "store the rule, but not in force; --disabled=false puts it in force")
	p.StringVar(&f.expires, "expires", "", "when the rule goes out of force: a duration like 90m or 7d, a time like 2026-12-31T18:00:00Z, or never")
	p.StringVar(&f.name, "name", "", "name of the rule")
	p.StringVar(&f.description, "description", "", "free text")
}

// apply puts what was given into a rule and returns the fields it changed.
func (f *policyRuleFlags) apply(ctx context.Context, api *client, c *cobra.Command, r *poolwirev1.PolicyRule) ([]string, error) {
	mask := f.applyPlain(c, r)
	for _, step := range []func(*cobra.Command, *poolwirev1.PolicyRule) ([]string, error){f.applyAction, f.applyMatch, f.applyExpiry} {
		more, err := step(c, r)
		if err != nil {
			return nil, err
		}
		mask = append(mask, more...)
	}
	flag, words, err := f.remoteFlag(c, r)
	if err != nil {
		return nil, err
	}
	if flag != "" {
		if err := setRemote(ctx, api, flag, words, r); err != nil {
			return nil, err
		}
		mask = append(mask, remoteFields...)
	}
	return mask, nil
}

// applyPlain applies the flags that need no check.
func (f *policyRuleFlags) applyPlain(c *cobra.Command, r *poolwirev1.PolicyRule) (mask []string) {
	set := func(flag, path string, assign func()) {
		if c.Flags().Changed(flag) {
			assign()
			mask = append(mask, path)
		}
	}
	set("name", "name_label", func() { r.NameLabel = f.name })
	set("description", "description", func() { r.Description = f.description })
	set("priority", "priority", func() { r.Priority = &f.priority })
	set("protocol", "protocol", func() { r.Protocol = strings.ToLower(f.protocol) })
	set("local-port", "local_ports", func() { r.LocalPorts = f.localPorts })
	set("remote-port", "remote_ports", func() { r.RemotePorts = f.remotePorts })
	set("stateless", "stateless", func() { r.Stateless = f.stateless })
	set("disabled", "enabled", func() { enabled := !f.disabled; r.Enabled = &enabled })
	set("mandatory", "section", func() {
		r.Section = poolwirev1.PolicySection_POLICY_SECTION_DEFAULT
		if f.mandatory {
			r.Section = poolwirev1.PolicySection_POLICY_SECTION_MANDATORY
		}
	})
	set("keep-established", "established_sessions", func() {
		r.EstablishedSessions = poolwirev1.EstablishedSessions_ESTABLISHED_SESSIONS_CUT
		if f.keep {
			r.EstablishedSessions = poolwirev1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP
		}
	})
	return mask
}

// applyAction applies the two choices that have a flag for each answer.
func (f *policyRuleFlags) applyAction(c *cobra.Command, r *poolwirev1.PolicyRule) (mask []string, err error) {
	word, flag, err := choice(c, "action", f.action, "allow", "drop", "reject")
	if err != nil {
		return nil, err
	}
	if word != "" {
		n, err := parseEnum(poolwirev1.RuleAction_value, "RULE_ACTION_", flag, word)
		if err != nil {
			return nil, err
		}
		r.Action, mask = poolwirev1.RuleAction(n), append(mask, "action")
	}
	if word, flag, err = choice(c, "direction", f.direction, "inbound", "outbound", "both"); err != nil || word == "" {
		return mask, err
	}
	n, err := parseEnum(poolwirev1.TrafficDirection_value, "TRAFFIC_DIRECTION_", flag, word)
	r.Direction = poolwirev1.TrafficDirection(n)
	return append(mask, "direction"), err
}

// choice reads a choice that is made by a word or by the flag of that name; at
// most one of them. flag is the one that was used.
func choice(c *cobra.Command, wordFlag, word string, flags ...string) (answer, flag string, err error) {
	if c.Flags().Changed(wordFlag) {
		answer, flag = word, "--"+wordFlag
	}
	for _, name := range flags {
		if !c.Flags().Changed(name) {
			continue
		}
		if on, _ := c.Flags().GetBool(name); !on {
			return "", "", usageError{fmt.Errorf("--%s=false: say what you want instead: --%s", name, strings.Join(flags, ", --"))}
		}
		if answer != "" {
			return "", "", usageError{fmt.Errorf("%s and --%s: give one of --%s", flag, name, strings.Join(flags, ", --"))}
		}
		answer, flag = name, "--"+name
	}
	return answer, flag, nil
}

// applyMatch applies numbers.
func (f *policyRuleFlags) applyMatch(c *cobra.Command, r *poolwirev1.PolicyRule) (mask []string, err error) {
	if c.Flags().Changed("icmp-type") {
		if r.IcmpType, err = octet("--icmp-type", f.icmpType); err != nil {
			return nil, err
		}
		mask = append(mask, "icmp_type")
	}
	if c.Flags().Changed("icmp-code") {
		if r.IcmpCode, err = octet("--icmp-code", f.icmpCode); err != nil {
			return nil, err
		}
		mask = append(mask, "icmp_code")
	}
	if c.Flags().Changed("vlan") {
		if r.Vlans, err = parseTags("--vlan", f.vlans); err != nil {
			return nil, err
		}
		mask = append(mask, "vlans")
	}
	return mask, nil
}

func (f *policyRuleFlags) applyExpiry(c *cobra.Command, r *poolwirev1.PolicyRule) ([]string, error) {
	if !c.Flags().Changed("expires") {
		return nil, nil
	}
	at, err := parseExpiry(f.expires, time.Now())
	if err != nil {
		return nil, err
	}
	r.ExpireTime = nil
	if !at.IsZero() {
		r.ExpireTime = timestamppb.New(at)
	}
	return []string{"expire_time"}, nil
}

// remoteFlag finds the flag that names the other end. --from and --to say the
// direction of a new rule; one that is there must have it.
func (f *policyRuleFlags) remoteFlag(c *cobra.Command, r *poolwirev1.PolicyRule) (flag string, words []string, err error) {
	for _, candidate := range []struct {
		flag      string
		words     []string
		direction poolwirev1.TrafficDirection
	}{
		{"remote", f.remote, 0},
		{"from", f.from, poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND},
		{"to", f.to, poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND},
	} {
		if !c.Flags().Changed(candidate.flag) {
			continue
		}
		if flag != "" {
			return "", nil, usageError{fmt.Errorf("--%s and --%s: a rule has one other end; for both directions use --both --remote", flag, candidate.flag)}
		}
		flag, words = candidate.flag, candidate.words
		if candidate.direction != 0 && r.GetDirection() == 0 {
			r.Direction = candidate.direction
		}
		if candidate.direction != 0 && r.GetDirection() != candidate.direction {
			return "", nil, usageError{fmt.Errorf("--%s: means %s, and the rule is %s; use --remote", flag, trafficWord(candidate.direction), trafficWord(r.GetDirection()))}
		}
	}
	return flag, words, nil
}

// octet parses a number from 0 to 255; "any" and nothing are none.
func octet(flag, word string) (*uint32, error) {
	if word == "" || word == "any" {
		return nil, nil
	}
	n, err := strconv.ParseUint(word, 10, 8)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s %q: use a whole number from 0 to 255, or any", flag, word)}
	}
	short := uint32(n)
	return &short, nil
}

// maxTag is the highest 802.1Q tag of a network.
const maxTag = 4094

// parseTags parses 802.1Q tags and ranges of them.
func parseTags(flag string, words []string) ([]uint32, error) {
	var out []uint32
	for _, w := range words {
		low, high, isRange := strings.Cut(strings.TrimSpace(w), "-")
		if !isRange {
			high = low
		}
		from, fromErr := strconv.ParseUint(low, 10, 16)
		to, toErr := strconv.ParseUint(high, 10, 16)
		switch {
		case fromErr != nil || toErr != nil || min(from, to) < 1 || max(from, to) > maxTag:
			return nil, usageError{fmt.Errorf("%s %q: use tags from 1 to %d, or ranges like 100-109", flag, w, maxTag)}
		case from > to:
			return nil, usageError{fmt.Errorf("%s %q: is a range from its end to its beginning; write %d-%d", flag, w, to, from)}
		}
		for tag := from; tag <= to; tag++ {
			out = append(out, uint32(tag))
		}
	}
	return out, nil
}

// parseExpiry reads a duration from now, a time, or never (the zero time). Days
// are 24 hours.
func parseExpiry(word string, now time.Time) (time.Time, error) {
	if word == "" || word == "never" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, word); err == nil {
		return at, nil
	}
	if days, ok := strings.CutSuffix(word, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
			return now.Add(time.Duration(n) * 24 * time.Hour), nil
		}
	}
	if d, err := time.ParseDuration(word); err == nil && d > 0 {
		return now.Add(d), nil
	}
	return time.Time{}, usageError{fmt.Errorf("--expires %q: use a duration like 90m or 7d, a time like 2026-12-31T18:00:00Z, or never", word)}
}
