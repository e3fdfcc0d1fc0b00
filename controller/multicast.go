package controller

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"poolwire/controller/listener"
	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
)

const (
	// listenersLook is how often all memberships are looked at; listenersRest is how long two looks are apart at the
	// least.
	listenersLook = 30 * time.Second
	listenersRest = 50 * time.Millisecond
	// listensFor is how long somebody listens who says nothing more, lastListener how long after somebody has left.
	listensFor   = listener.Interval * time.Second
	lastListener = 2 * listener.LastResponse * time.Second
	// maxGroups is how many groups of a VIF are told apart; one that joins more gets all of them, as a router does. The
	// store has room for that too, in both families.
	maxGroups = raftstore.MaxVifGroups - 2
	// maxObserved bounds one command.
	maxObserved = 1000
)

// audienceMember is a VIF on a private network, by their UUIDs.
type audienceMember struct{ network, vif string }

// listeners knows until when each VIF listens to which groups. The store is told of what changes, and the new leader
// starts from that; that somebody still listens costs nothing there.
type listeners struct {
	lead *leader
	wake chan struct{}

	mu sync.Mutex
	// of holds until when; an unspecified address stands for all groups of a family.
	of map[audienceMember]map[netip.Addr]time.Time // guarded by mu
	// changed are those to look at soon.
	changed map[audienceMember]struct{} // guarded by mu
	// next is when to look at everyone.
	next time.Time // guarded by mu
}

func newListeners(l *leader) *listeners {
	return &listeners{lead: l, wake: make(chan struct{}, 1), of: map[audienceMember]map[netip.Addr]time.Time{}, changed: map[audienceMember]struct{}{}}
}

// hear takes in what a VIF says, and returns the groups of which it has to be asked whether anybody still listens.
func (l *listeners) hear(who audienceMember, r listener.Report, now time.Time) (ask []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	groups := l.of[who]
	if groups == nil {
		groups = map[netip.Addr]time.Time{}
		l.of[who] = groups
	}
	for _, group := range r.Left {
		if until, known := groups[group]; known && until.After(now.Add(lastListener)) {
			groups[group] = now.Add(lastListener)
			l.next = earlier(l.next, groups[group])
			ask = append(ask, group)
		}
	}
	for _, group := range r.Joined {
		if flowcompiler.GroupsFlooded(listener.GroupMAC(group)) {
			continue
		}
		if _, known := groups[group]; !known && len(groups) >= maxGroups {
			group = familyOf(group)
		}
		groups[group] = now.Add(listensFor)
	}
	if r.Router {
		groups[r.RouterOf] = now.Add(listensFor)
	}
	l.changed[who] = struct{}{}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return ask
}

func familyOf(group netip.Addr) netip.Addr {
	if group.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// keep stores what changes, until ctx ends. What is stored at first is believed until the first round of queries has
// been answered.
func (l *listeners) keep(ctx context.Context) {
	l.load(l.lead.store.View())
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-look.C:
		}
		now := l.lead.cfg.Clock.Now()
		change := l.look(l.lead.store.View(), now)
		l.observe(ctx, change)
		look.Reset(listenersRest)
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		look.Reset(l.untilNext())
	}
}

func (l *listeners) untilNext() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.next.Sub(l.lead.cfg.Clock.Now()))
}

// load takes over what is stored.
func (l *listeners) load(view *raftstore.View) {
	until := l.lead.cfg.Clock.Now().Add(listensFor)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pn := range view.PrivateNetworks() {
		for _, s := range view.Subscriptions(pn.GetUuid()) {
			who := audienceMember{pn.GetUuid(), s.GetVifUuid()}
			group, err := netip.ParseAddr(s.GetGroup())
			if err != nil {
				continue
			}
			if l.of[who] == nil {
				l.of[who] = map[netip.Addr]time.Time{}
			}
			if _, heard := l.of[who][group]; !heard {
				l.of[who][group] = until
			}
		}
	}
}

// look compares what is known with what is stored, and returns what is to be changed there.
func (l *listeners) look(view *raftstore.View, now time.Time) *storev1.ObserveMulticast {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := &storev1.ObserveMulticast{}
	room := map[string]int{}
	all := l.changed
	if !now.Before(l.next) {
		l.next = now.Add(listenersLook)
		all = map[audienceMember]struct{}{}
		for who := range l.of {
			all[who] = struct{}{}
		}
	}
	l.changed = map[audienceMember]struct{}{}
	for who := range all {
		if _, counted := room[who.network]; !counted {
			room[who.network] = raftstore.MaxSubscriptions - len(view.Subscriptions(who.network))
		}
		l.compare(view, who, now, room, out)
	}
	return out
}

// compare looks at one VIF; mu is held.
func (l *listeners) compare(view *raftstore.View, who audienceMember, now time.Time, room map[string]int, out *storev1.ObserveMulticast) {
	groups := l.of[who]
	stored := map[netip.Addr]*storev1.Subscription{}
	for _, s := range view.SubscriptionsOfVif(who.vif) {
		if group, err := netip.ParseAddr(s.GetGroup()); err == nil && s.GetPrivateNetworkUuid() == who.network {
			stored[group] = s
		}
	}
	for group, until := range groups {
		if !until.After(now) {
			if l.unheard(view, who.vif) {
				until = now.Add(listensFor)
				groups[group] = until
			} else {
				delete(groups, group)
				continue
			}
		}
		l.next = earlier(l.next, until)
		if stored[group] == nil && room[who.network] > 0 {
			room[who.network]--
			out.Joined = append(out.Joined, &storev1.Subscription{VifUuid: who.vif, PrivateNetworkUuid: who.network, Group: group.String()})
		}
	}
	for group, s := range stored {
		if _, listens := groups[group]; !listens {
			out.Left = append(out.Left, s)
		}
	}
	if len(groups) == 0 && len(stored) == 0 || view.PrivateNetwork(who.network) == nil || view.Vif(who.vif) == nil {
		delete(l.of, who)
	}
}

// unheard tells whether a VIF may well listen and cannot be asked now.
func (l *listeners) unheard(view *raftstore.View, vif string) bool {
	for _, p := range view.PortsByVif(vif) {
		if l.lead.switchOf(p.GetHostUuid(), p.GetBridge()) == nil {
			return true
		}
	}
	return false
}

// observe stores a change. What is not stored is found again by the next look.
func (l *listeners) observe(ctx context.Context, change *storev1.ObserveMulticast) {
	for len(change.Joined)+len(change.Left) > 0 {
		joined, left := min(len(change.Joined), maxObserved), min(len(change.Left), maxObserved)
		cmd := &storev1.Command{Body: &storev1.Command_ObserveMulticast{ObserveMulticast: &storev1.ObserveMulticast{
			Joined: change.Joined[:joined], Left: change.Left[:left],
		}}}
		change.Joined, change.Left = change.Joined[joined:], change.Left[left:]
		err := l.lead.withDeadline(ctx, func(ctx context.Context) error {
			_, err := l.lead.store.Apply(ctx, cmd)
			return err
		})
		if err != nil && ctx.Err() == nil {
			l.lead.cfg.Log.Warn("multicast memberships could not be stored", "error", err)
		}
	}
}
