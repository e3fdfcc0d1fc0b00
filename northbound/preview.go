package northbound

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// Bounds of the live sessions in a request.
const (
	maxSessions    = 10_000
	maxSessionLine = 1024 // characters; conntrack entries have some 200
)

// sessioned is a request for a change that may bring live sessions to judge.
type sessioned interface {
	GetSessions() []string
	GetSessionsHost() string
}

// checkSessions checks the live sessions of a request.
func checkSessions(asked changing, v *violations) {
	q, ok := asked.(sessioned)
	if !ok {
		return
	}
	n, at := len(q.GetSessions()), v.at("sessions")
	switch {
	case n > 0 && !asked.GetValidateOnly():
		at.say("are only judged with validate_only; leave them out to make the change")
	case n > maxSessions:
		at.say("has %d entries; at most %d are accepted", n, maxSessions)
	case n > 0 && q.GetSessionsHost() == "":
		v.at("sessions_host").say("is required with sessions: the UUID or name_label of the host they are from")
	case q.GetSessionsHost() != "" && !asked.GetValidateOnly():
		v.at("sessions_host").refuse(q.GetSessionsHost(), "is only of use with validate_only, and sessions: lines of `ovs-appctl dpctl/dump-conntrack` of that host")
	}
	for i, line := range q.GetSessions()[:min(n, maxSessions)] {
		if len(line) > maxSessionLine {
			at.index(i).refuse(line, "is too long for an entry of a connection table; at most %d characters are accepted", maxSessionLine)
			return
		}
	}
}

// try finds out what a mutation would do, and does nothing.
func (s *Server) try(ctx context.Context, m mutation) (outcome, error) {
	before, err := s.readWhole(ctx)
	if err != nil {
		return outcome{}, err
	}
	cmd, err := m.plan(seen(ctx, before))
	if err == nil && cmd != nil {
		err = permit(ctx, before, cmd)
	}
	if err != nil {
		return outcome{}, err
	}
	if cmd == nil {
		return outcome{Result: raftstore.Result{Revision: before.Revision()}, view: before, preview: &v1.Preview{}}, nil
	}
	s.sign(ctx, m, cmd)
	// A trial is no request that could be repeated, and there is nothing to confirm.
	cmd.RequestId, cmd.ConfirmWithin = "", (*durationpb.Duration)(nil)
	after, changes, res, err := s.cfg.Store.Simulate(cmd)
	if err != nil {
		return outcome{}, s.refused(err, m)
	}
	preview, err := s.cfg.Live.Preview(ctx, before, after, changes)
	if err != nil {
		return outcome{}, statusOf(err, "")
	}
	preview.Warnings = append(preview.Warnings, changeWarnings(after, changes)...)
	// A host without sessions is a host on which there are none.
	if q, ok := m.asked.(sessioned); ok && q.GetSessionsHost() != "" {
		host, err := findHost(seen(ctx, before), "sessions_host", q.GetSessionsHost())
		if err != nil {
			return outcome{}, err
		}
		preview.Sessions, preview.SessionCounts, err = s.cfg.Live.PreviewSessions(ctx, before, after, host.GetUuid(), q.GetSessions())
		if err != nil {
			return outcome{}, statusOf(err, "")
		}
		preview.SessionsNote = ""
	}
	// The revision a real change would get is not known.
	res.Revision = before.Revision()
	return outcome{Result: res, view: after, preview: preview}, nil
}

// changeWarnings says what is odd about what a change makes.
func changeWarnings(after *raftstore.View, changes raftstore.ChangeSet) []string {
	var out []string
	add := func(name string, list []string) {
		for _, w := range list {
			out = append(out, name+": "+w)
		}
	}
	rules := newOdd(after)
	for _, c := range changes.Changes {
		switch o := c.After.(type) {
		case *v1.PolicyRule:
			add("policy rule "+nameOf(o), rules.rule(o))
			if before := hiddenBy(after, o); before != nil && isActive(o) {
				add("policy rule "+nameOf(o), []string{"policy rule " + nameOf(before) + " is looked at before and matches all that it matches"})
			}
		case *v1.VifGroup:
			add("VIF group "+nameOf(o), vifGroupWarnings(after, o))
		case *v1.Vif:
			add("VIF "+nameOf(o), vifWarnings(after, o))
		}
	}
	return out
}

// named is a resource with a name for people.
type named interface {
	GetUuid() string
	GetNameLabel() string
}

// nameOf is what a resource is called: its name_label, or its UUID.
func nameOf(o named) string {
	if o.GetNameLabel() != "" {
		return quote(o.GetNameLabel())
	}
	return o.GetUuid()
}
