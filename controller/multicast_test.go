package controller

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"poolwire/controller/listener"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// listening is a VIF on a private network, and what a leader remembers of it.
func listening(t *testing.T) (*state, *listeners, audienceMember) {
	t.Helper()
	s := newState(t)
	pool := s.pool(1)
	h1 := s.host(pool, 1)
	s.do(putPrivate(blue(poolMember(pool)), true))
	vif := uuidOf("dddd", 1)
	s.do(seen(h1, &storev1.Bridge{Name: "pw100", DatapathId: 2}, onBlue(h1, "vif1.0", vif, 1)))
	s.do(putVif(&poolwirev1.Vif{Uuid: vif, NameLabel: "web"}, false))
	return s, newListeners(&leader{hosts: map[string]*hostActor{}}), audienceMember{s.view().PrivateNetworks()[0].GetUuid(), vif}
}

// turn lets a leader look, stores what it finds, and says what that was.
func (l *listeners) turn(s *state, now time.Time) (joined, left int) {
	c := l.look(s.view(), now)
	if len(c.Joined)+len(c.Left) > 0 {
		s.do(&storev1.Command{Body: &storev1.Command_ObserveMulticast{ObserveMulticast: c}})
	}
	return len(c.Joined), len(c.Left)
}

func joinedReport(groups ...string) (r listener.Report) {
	for _, g := range groups {
		r.Joined = append(r.Joined, netip.MustParseAddr(g))
	}
	return r
}

// TestListenersAreStoredOnceAndForgotten: a refresh is not written, silence is believed in the end, but not of a VIF
// that cannot be asked.
func TestListenersAreStoredOnceAndForgotten(t *testing.T) {
	t.Parallel()
	s, l, who := listening(t)
	now := time.Unix(1000, 0)
	expect := func(what string, joined, left int) {
		t.Helper()
		if j, f := l.turn(s, now); j != joined || f != left {
			t.Fatalf("%s: %d joined and %d left, want %d and %d", what, j, f, joined, left)
		}
	}
	l.hear(who, joinedReport("239.1.2.3", "ff15::42", "224.0.0.251", "ff02::1:ff00:1"), now)
	expect("two groups, and two that go to everyone", 2, 0)
	now = now.Add(listensFor / 2)
	l.hear(who, joinedReport("239.1.2.3"), now)
	expect("again", 0, 0)
	now = now.Add(listensFor/2 + time.Second)
	expect("silence of a VIF whose host is away", 0, 0)
	s.do(observe(&storev1.ObserveHost{HostUuid: uuidOf("bbbb", 1), PortsGone: []string{"vif1.0"}}))
	now = now.Add(2 * listensFor)
	l.next = time.Time{}
	expect("silence", 0, 2)
	if n := len(l.of); n != 0 {
		l.next = time.Time{}
		if expect("nothing", 0, 0); len(l.of) != 0 {
			t.Errorf("%d VIFs are remembered", n)
		}
	}
}

// TestALeaveIsAsked: who has left is forgotten, unless somebody behind the same VIF answers.
func TestALeaveIsAsked(t *testing.T) {
	t.Parallel()
	s, l, who := listening(t)
	now := time.Unix(1000, 0)
	l.hear(who, joinedReport("239.1.2.3"), now)
	l.turn(s, now)
	leave := listener.Report{Left: joinedReport("239.1.2.3", "239.9.9.9").Joined}
	if ask := l.hear(who, leave, now); len(ask) != 1 || ask[0] != leave.Left[0] {
		t.Fatalf("asked of %v", ask)
	}
	if ask := l.hear(who, leave, now); len(ask) != 0 {
		t.Errorf("asked twice: %v", ask)
	}
	l.hear(who, joinedReport("239.1.2.3"), now.Add(time.Second))
	if j, f := l.turn(s, now.Add(lastListener)); j+f != 0 {
		t.Errorf("%d joined, %d left", j, f)
	}
	s.do(observe(&storev1.ObserveHost{HostUuid: uuidOf("bbbb", 1), PortsGone: []string{"vif1.0"}}))
	l.hear(who, leave, now.Add(2*time.Second))
	if j, f := l.turn(s, now.Add(2*time.Second+lastListener)); j != 0 || f != 1 {
		t.Errorf("%d joined, %d left", j, f)
	}
}

// TestAVIFHasAShareOfGroups: one that joins ever new groups gets all instead, and makes nobody remember more.
func TestAVIFHasAShareOfGroups(t *testing.T) {
	t.Parallel()
	s, l, who := listening(t)
	now := time.Unix(1000, 0)
	for i := range 10 * maxGroups {
		l.hear(who, joinedReport(fmt.Sprintf("239.1.%d.%d", i/256, i%256), fmt.Sprintf("ff15::%x", i+0x100)), now)
	}
	l.turn(s, now)
	stored := s.view().SubscriptionsOfVif(who.vif)
	if len(stored) != raftstore.MaxVifGroups || stored[0].GetGroup() != "0.0.0.0" {
		t.Errorf("%d groups, %v first", len(stored), stored[0])
	}
	if n := len(l.of[who]); n != raftstore.MaxVifGroups {
		t.Errorf("%d groups are remembered", n)
	}
	for i := range 10 * maxGroups {
		l.hear(who, joinedReport(fmt.Sprintf("239.7.%d.%d", i/256, i%256)), now)
	}
	if j, f := l.turn(s, now); j+f != 0 {
		t.Errorf("%d joined, %d left", j, f)
	}
}

// TestANewLeaderBelievesWhatIsStored until those who listen have been asked.
func TestANewLeaderBelievesWhatIsStored(t *testing.T) {
	t.Parallel()
	s, l, who := listening(t)
	now := time.Now()
	l.hear(who, joinedReport("239.1.2.3"), now)
	l.turn(s, now)
	next := newListeners(&leader{hosts: map[string]*hostActor{}, cfg: Config{Clock: systemClock{}}})
	next.load(s.view())
	if j, f := next.turn(s, now.Add(time.Second)); j+f != 0 {
		t.Errorf("%d joined, %d left", j, f)
	}
	if len(next.of[who]) != 1 {
		t.Errorf("remembered: %v", next.of)
	}
}
