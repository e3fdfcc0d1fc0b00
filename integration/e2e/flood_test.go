package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

// floodInterval is how far apart the broadcasts of one VM are.
const floodInterval = 20 * time.Millisecond

// underway is how long a frame may have been on its way when a host that it passes is lost.
const underway = 100 * time.Millisecond

// flood is numbered broadcasts that the VM on every host sends without a pause, and what all others get of them.
type flood struct {
	*relayed
	places   map[string]relayPlace
	captures map[string]*lab.Capture
	done     chan struct{}
	senders  sync.WaitGroup

	mu sync.Mutex
	// sent says when each number was sent, by host; failed why one could not be. Guarded by mu.
	sent   map[string][]time.Time
	failed error
}

// flood begins.
func (r *relayed) flood(t *testing.T) *flood {
	t.Helper()
	f := &flood{relayed: r, captures: map[string]*lab.Capture{}, done: make(chan struct{}), sent: map[string][]time.Time{}}
	for host, vm := range r.vms {
		c, err := vm.Capture(within(t, time.Minute), fmt.Sprintf("udp and dst host 255.255.255.255 and (dst port %d or dst port %d)", deniedPort, allowedPort))
		if err != nil {
			t.Fatal(err)
		}
		f.captures[host] = c
	}
	t.Cleanup(f.senders.Wait)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	for host, vm := range r.vms {
		s, err := vm.NewSender(vm.VIF().Card())
		if err != nil {
			t.Fatal(err)
		}
		f.senders.Go(func() { f.send(ctx, host, s) })
	}
	return f
}

// send is what the VM on one host does.
func (f *flood) send(ctx context.Context, host string, s *lab.Sender) {
	defer func() { _ = s.Close() }()
	tick := time.NewTicker(floodInterval)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-f.done:
			return
		case <-tick.C:
		}
		now := time.Now()
		err := s.Send(f.broadcastOf(host, deniedPort, numbered(host, n)))
		f.mu.Lock()
		f.sent[host] = append(f.sent[host], now)
		if err != nil && f.failed == nil {
			f.failed = err
		}
		f.mu.Unlock()
	}
}

func (f *flood) broadcastOf(host string, port uint16, text string) []byte {
	return datagram(f.vms[host], frame.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, netip.MustParseAddr("255.255.255.255"), port, text)
}

// numbered is the text of a broadcast.
func numbered(host string, n int) string { return fmt.Sprintf("%s %06d.", host, n) }

// goesOn waits until every VM has sent another second's worth.
func (f *flood) goesOn(t *testing.T) {
	t.Helper()
	count := func() map[string]int {
		f.mu.Lock()
		defer f.mu.Unlock()
		out := map[string]int{}
		for host, times := range f.sent {
			out[host] = len(times)
		}
		return out
	}
	before := count()
	eventually(t, func(context.Context) error {
		now := count()
		for host := range f.vms {
			if now[host] < before[host]+int(time.Second/floodInterval) {
				return fmt.Errorf("the VM on %s has sent %d", host, now[host])
			}
		}
		return nil
	})
}

// end stops the senders, waits until what they have sent has arrived, and returns how often each VM got each text.
func (f *flood) end(t *testing.T) map[string]map[string]int {
	t.Helper()
	ctx := within(t, time.Minute)
	close(f.done)
	f.senders.Wait()
	if f.failed != nil {
		t.Fatal(f.failed)
	}
	for from, vm := range f.vms {
		last := "the last of " + from
		for to, c := range f.captures {
			if to == from {
				continue
			}
			if _, err := vm.SendUntil(ctx, c, f.broadcastOf(from, allowedPort, last), func(p lab.Packet) bool { return strings.Contains(string(p.Payload), last) }); err != nil {
				t.Fatalf("from %s to %s: %v", from, to, err)
			}
		}
	}
	got := map[string]map[string]int{}
	for to, c := range f.captures {
		if err := c.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		got[to] = map[string]int{}
		for _, p := range c.Packets() {
			text, _, _ := strings.Cut(string(p.Payload), ".")
			got[to][text+"."]++
		}
	}
	return got
}

// loss is one loss of a host and its return, told by what was seen of it.
type loss struct {
	name, host string
	// gone is just before the host was lost; moved when every other one had confirmed that it does without, and no switch had
	// anything else in its cache; recalled just before it was given back, and back when it was as before it was lost.
	gone, moved, recalled, back time.Time
	// passes tells whether what the VM on one host sends to that on another passes the host.
	passes func(from, to string) bool
}

// excuses tells whether a frame may be missing.
func (l loss) excuses(from, to string, sent time.Time) bool {
	switch {
	case sent.Before(l.gone.Add(-underway)):
		return false
	case from == l.host || to == l.host:
		return sent.Before(l.back)
	}
	return l.passes(from, to) && sent.Before(l.moved)
}

// returns tells whether a frame was sent over relays while the host came back.
func (l loss) returns(from, to string, sent time.Time) bool {
	return l.passes(from, to) && sent.After(l.recalled.Add(-underway)) && sent.Before(l.back)
}

// oneIn is how few of the copies sent over relays may be missing while a host comes back, for the sake of switches that
// wait for a processor while they are given tunnels: a relay that is too early loses one in ten.
const oneIn = 50

// judge ends the flood: no frame may have come twice, and none be missing that was not sent while a host on its way was lost,
// but for a few while it comes back.
func (f *flood) judge(t *testing.T, losses []loss) {
	t.Helper()
	got := f.end(t)
	once, twice, missing := 0, 0, 0
	lost, late, returning := make([]int, len(losses)), make([]int, len(losses)), make([]int, len(losses))
	last := make([]time.Duration, len(losses))
	for _, from := range slices.Sorted(maps.Keys(f.sent)) {
		for n, sent := range f.sent[from] {
			for to, copies := range got {
				if to == from {
					continue
				}
				excuse := slices.IndexFunc(losses, func(l loss) bool { return l.excuses(from, to, sent) })
				back := slices.IndexFunc(losses, func(l loss) bool { return excuse < 0 && l.returns(from, to, sent) })
				if back >= 0 {
					returning[back]++
				}
				switch c := copies[numbered(from, n)]; {
				case c == 1:
					once++
				case c > 1:
					if twice++; twice <= 10 {
						t.Errorf("frame %d from %s, sent %s, came %d times to %s", n, from, placed(losses, sent), c, to)
					}
				case back >= 0:
					late[back]++
				case excuse < 0:
					if missing++; missing <= 10 {
						t.Errorf("frame %d from %s, sent %s, did not come to %s", n, from, placed(losses, sent), to)
					}
				case from != losses[excuse].host && to != losses[excuse].host:
					lost[excuse]++
					last[excuse] = max(last[excuse], sent.Sub(losses[excuse].gone))
				}
			}
		}
	}
	t.Logf("%d copies came once, %d twice, %d were missing without an excuse", once, twice, missing)
	for i, l := range losses {
		t.Logf("%s: moved after %v; %d copies for VMs on other hosts were lost, the last was sent %v after it", l.name,
			l.moved.Sub(l.gone).Round(time.Millisecond), lost[i], last[i].Round(time.Millisecond))
		t.Logf("%s: while it came back, %d of %d copies were lost", l.name, late[i], returning[i])
		if late[i]*oneIn > returning[i] {
			t.Errorf("%s: while it came back, %d of %d copies were lost", l.name, late[i], returning[i])
		}
		if last[i] > noticed {
			t.Errorf("%s: what was sent %v later was lost still", l.name, last[i])
		}
	}
}

// placed says when a frame was sent, by the last loss before.
func placed(losses []loss, sent time.Time) string {
	for _, l := range slices.Backward(losses) {
		if sent.After(l.gone.Add(-underway)) {
			return fmt.Sprintf("%v after %s (moved after %v, back after %v)", sent.Sub(l.gone), l.name, l.moved.Sub(l.gone), l.back.Sub(l.gone))
		}
	}
	return "before anything was lost"
}
