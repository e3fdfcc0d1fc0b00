package northbound

import (
	"context"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// watchScope makes of the changes of the state those that a caller may see, for a watch that does not see everything.
//
// Where an object belongs is often told by others: a VIF's pool by its network. These may be gone when a change is
// looked at. So what was shown once is told of to its end; and of what went between the revision that the watch begins at and the time
// when it does, it remembers where it was.
type watchScope struct {
	rights *rights
	store  Store
	// shown is what the client was shown, or could have listed when the watch began.
	shown map[objectKey]bool
	// gone holds networks, hosts and VIFs that were no more when the watch began, by UUID, as they were.
	gone map[string]proto.Message
}

type objectKey struct {
	table raftstore.Table
	key   string
}

// newWatchScope begins with what the caller can list now, and learns from the changes ahead what is gone since.
func newWatchScope(ctx context.Context, r *rights, w *watch, from uint64) (*watchScope, error) {
	s := &watchScope{rights: r, store: w.store, shown: map[objectKey]bool{}, gone: map[string]proto.Message{}}
	view := w.store.View()
	if err := w.history.readTo(ctx, from, view.Revision()); err != nil {
		return nil, err
	}
	for _, set := range w.history.ahead {
		s.learn(set)
	}
	now := view.Restrict(r.sees(view))
	note := func(table raftstore.Table, ids []string) {
		for _, id := range ids {
			s.shown[objectKey{table, id}] = true
		}
	}
	note(raftstore.TablePools, idsIn(now.Pools()))
	note(raftstore.TableHosts, idsIn(now.Hosts()))
	note(raftstore.TableNetworks, idsIn(now.Networks()))
	note(raftstore.TablePrivateNetworks, idsIn(now.PrivateNetworks()))
	note(raftstore.TableVifs, idsIn(now.Vifs()))
	note(raftstore.TableRules, idsIn(now.Rules()))
	note(raftstore.TablePolicyRules, idsIn(now.PolicyRules()))
	return s, nil
}

func idsIn[T interface{ GetUuid() string }](of []T) []string {
	var out []string
	for _, o := range of {
		out = append(out, o.GetUuid())
	}
	return out
}

// learn remembers what a change set removed.
func (s *watchScope) learn(set raftstore.ChangeSet) {
	for _, c := range set.Changes {
		if c.After != nil {
			continue
		}
		switch c.Table {
		case raftstore.TableHosts, raftstore.TableNetworks, raftstore.TableVifs:
			s.gone[c.Key] = c.Before
		}
	}
}

// view is the state of now, as the caller may see it.
func (s *watchScope) view() *raftstore.View {
	v := s.store.View()
	return v.Restrict(s.rights.sees(v))
}

// filter leaves of a change set what the caller may see: what comes into his sight is new to him, what leaves it is gone.
func (s *watchScope) filter(set raftstore.ChangeSet) raftstore.ChangeSet {
	view := s.store.View()
	out := raftstore.ChangeSet{Revision: set.Revision}
	for _, c := range set.Changes {
		at := objectKey{c.Table, c.Key}
		before := c.Before != nil && (s.shown[at] || s.visible(view, c.Key, c.Before))
		after := c.After != nil && s.visible(view, c.Key, c.After)
		if !before {
			c.Before = nil
		}
		if !after {
			c.After = nil
		}
		if after {
			s.shown[at] = true
		} else {
			delete(s.shown, at)
		}
		if before || after {
			out.Changes = append(out.Changes, c)
		}
	}
	return out
}

// visible decides about an object as it was.
func (s *watchScope) visible(v *raftstore.View, key string, m proto.Message) bool {
	if s.rights.sees(v)(key, m) {
		return true
	}
	switch m := m.(type) {
	case *v1.Vif:
		n, _ := s.gone[m.GetNetworkUuid()].(*v1.Network)
		return n != nil && s.rights.sees(v)(n.GetUuid(), n)
	case *v1.Rule:
		return s.visibleGone(v, m.GetVifUuid()) || s.visibleGone(v, m.GetNetworkUuid())
	case *v1.PolicyRule:
		return m.GetLevel() >= v1.PolicyLevel_POLICY_LEVEL_NETWORK && s.visibleGone(v, m.GetScopeUuid())
	case *storev1.Port:
		return s.visibleGone(v, m.GetVifUuid())
	}
	return false
}

// visibleGone decides about what an object belonged to.
func (s *watchScope) visibleGone(v *raftstore.View, id string) bool {
	m := s.gone[id]
	return id != "" && m != nil && s.visible(v, id, m)
}
