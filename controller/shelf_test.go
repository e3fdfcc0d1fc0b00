package controller

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poolwire/strangers"
)

// parcel is a session on a shelf.
type parcel struct {
	from string
	good bool
	once sync.Once
	done chan struct{}
	why  error
}

func newParcel(from string, good bool) *parcel {
	return &parcel{from: from, good: good, done: make(chan struct{})}
}

func (p *parcel) Done() <-chan struct{} { return p.done }

func (p *parcel) PeerCertificates() []*x509.Certificate {
	if p.good {
		return []*x509.Certificate{{}}
	}
	return nil
}

func (p *parcel) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(p.from), 1234))
}

func (p *parcel) end(err error) {
	p.once.Do(func() {
		p.why = err
		close(p.done)
	})
}

func (p *parcel) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func isGood(certs []*x509.Certificate) error {
	if len(certs) == 0 {
		return errors.New("no certificate")
	}
	return nil
}

// shelfTest is a shelf whose sessions end with the test.
type shelfTest struct {
	*shelf[string, *parcel]
	work    sync.WaitGroup
	parcels []*parcel
	refused []string
}

func newShelfTest(t *testing.T) *shelfTest {
	f := &shelfTest{}
	t.Cleanup(func() {
		for _, p := range f.parcels {
			p.end(nil)
		}
		f.work.Wait()
	})
	f.shelf = newShelf(shelfConfig[string, *parcel]{
		end: (*parcel).end, refuse: func(a net.Addr, err error) { f.refused = append(f.refused, a.String()+" "+err.Error()) },
		known: func(string, *parcel) bool { return false }, strangers: strangers.NewRoom(1024), limited: func() {},
	})
	return f
}

// put parks a session and returns once it is on the shelf.
func (f *shelfTest) put(key string, p *parcel) *parcel {
	arrivals := f.watch(key)
	defer f.unwatch(key, arrivals)
	f.parcels = append(f.parcels, p)
	f.work.Go(func() { f.park(key, p) })
	for !f.holds(key, p) {
		<-arrivals
	}
	return p
}

// holds reports whether a session is on the shelf: a wake-up alone may mean that
// another one has left it.
func (f *shelfTest) holds(key string, p *parcel) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.parked[key], func(here *place[*parcel]) bool { return here.session == p })
}

func TestShelfGivesTheNewestVerifiedSession(t *testing.T) {
	t.Parallel()
	f := newShelfTest(t)
	f.put("a", newParcel("10.0.0.1", true))
	newer := f.put("a", newParcel("10.0.0.1", true))
	forged := f.put("a", newParcel("10.0.0.66", false))
	got, ok := f.newest("a", isGood)
	if !ok || got != newer {
		t.Fatalf("got %v, want the newer of the verified ones", got)
	}
	if !forged.ended() {
		t.Error("a session that does not verify stays")
	}
	if len(f.refused) != 1 {
		t.Errorf("reports: %q", f.refused)
	}
	newer.end(nil)
	if got, ok = f.newest("a", isGood); !ok || got == newer {
		t.Errorf("a session that has ended is given out: %v", got)
	}
	if _, ok := f.newest("b", isGood); ok {
		t.Error("a session under a key nobody used")
	}
}

// Two hosts may announce one key. Neither may end the other's session.
func TestShelfKeepsWhatMayBeSomebodyElses(t *testing.T) {
	t.Parallel()
	f := newShelfTest(t)
	one, other := f.watch("a"), f.watch("a")
	s := f.put("a", newParcel("10.0.0.1", false))
	for range 3 {
		if _, ok := f.newest("a", isGood); ok {
			t.Fatal("given to one whom it does not pass")
		}
	}
	if s.ended() || len(f.refused) != 1 {
		t.Errorf("ended %v, reports %q; want it to stay, and one report", s.ended(), f.refused)
	}
	f.unwatch("a", one)
	if f.newest("a", isGood); !s.ended() {
		t.Error("with one claimant left it has nobody else to wait for")
	}
	f.unwatch("a", other)
	if len(f.waiting) != 0 {
		t.Errorf("watchers left: %v", f.waiting)
	}
}

func TestShelfIsBoundedAndAFloodPushesOutItsOwn(t *testing.T) {
	t.Parallel()
	f := newShelfTest(t)
	legitimate := f.put("a", newParcel("10.0.0.1", true))
	var flood []*parcel
	for range 3 * maxParked {
		flood = append(flood, f.put("a", newParcel("10.0.0.66", false)))
	}
	if legitimate.ended() {
		t.Fatal("a flood from another address pushed a session out")
	}
	if n := f.size(); n != maxParked {
		t.Errorf("%d sessions of a key, want %d", n, maxParked)
	}
	if !flood[0].ended() || !errors.Is(flood[0].why, errCrowded) {
		t.Errorf("the flood's first session: ended %v, %v", flood[0].ended(), flood[0].why)
	}

	// From many addresses: what was verified stays.
	f.watch("a")
	f.watch("a")
	f.newest("a", isGood)
	for i := range 3 * maxParked {
		f.put("a", newParcel(fmt.Sprintf("10.0.1.%d", i), false))
	}
	if legitimate.ended() {
		t.Error("a claimed session was pushed out")
	}
}

func TestShelfOfVerifiedSessionsIsBounded(t *testing.T) {
	t.Parallel()
	f := newShelfTest(t)
	var all []*parcel
	for range 2 * maxParked {
		all = append(all, f.put("a", newParcel("10.0.0.1", true)))
		if got, ok := f.newest("a", isGood); !ok || got != all[len(all)-1] {
			t.Fatal("the newest is not the one given out")
		}
	}
	if n := f.size(); n != maxParked {
		t.Errorf("%d sessions, want %d", n, maxParked)
	}
}

func TestShelfForgetsWhatEnded(t *testing.T) {
	t.Parallel()
	f := newShelfTest(t)
	arrivals := f.watch("a")
	s := f.put("a", newParcel("10.0.0.1", true))
	<-arrivals
	s.end(nil)
	f.work.Wait()
	<-arrivals
	if f.size() != 0 || len(f.parked) != 0 {
		t.Errorf("%d sessions, keys %v", f.size(), f.parked)
	}
	f.unwatch("a", arrivals)
}

func TestRefusalsAreFewAndReadable(t *testing.T) {
	t.Parallel()
	b := NewSwitchboard(BoardConfig{Log: slog.New(slog.DiscardHandler)})
	refuse := func(addr string, err error) { b.Refuse(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)), err) }
	for port := range 100 {
		addr := fmt.Sprintf("10.0.0.1:%d", 1000+port)
		refuse(addr, fmt.Errorf("starting a session with %s: EOF", addr))
	}
	refuse("10.0.0.2:1", errors.New("bad \xff certificate"))
	got := b.Refused()
	if len(got) != 2 {
		t.Fatalf("one peer that tries again and again is %d lines: %q", len(got), got)
	}
	if !slices.ContainsFunc(got[:1], func(s string) bool {
		return s[len(s)-len("10.0.0.2:1: bad  certificate"):] == "10.0.0.2:1: bad  certificate"
	}) {
		t.Errorf("newest first, in UTF-8: %q", got)
	}
	for i := range 3 * maxRefusals {
		refuse(fmt.Sprintf("10.1.0.%d:1", i), errors.New("no"))
	}
	if n := len(b.Refused()); n != maxRefusals {
		t.Errorf("%d lines are kept, want %d", n, maxRefusals)
	}
}

// A peer that is refused for ever new reasons, such as its own words, fills neither the log nor what is remembered of others.
func TestRefusalsOfOnePeerAreRationed(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := NewSwitchboard(BoardConfig{Log: slog.New(slog.NewTextHandler(&log, nil))})
	refuse := func(addr string, err error) { b.Refuse(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)), err) }
	const flood, others = 1000, maxRefusals - 1
	for i := range others {
		refuse(fmt.Sprintf("10.1.0.%d:1", i), errors.New("its own"))
	}
	begun := time.Now()
	for i := range flood {
		// One machine, as those of a /64 are.
		refuse(fmt.Sprintf("[2001:db8::%x]:1", i+1), fmt.Errorf("reason %d", i))
	}
	got := b.Refused()
	mine, theirs := 0, 0
	for _, line := range got {
		if strings.Contains(line, "its own") {
			theirs++
		} else {
			mine++
		}
	}
	if mine != 1 || theirs != others || !strings.HasSuffix(got[0], fmt.Sprint("reason ", flood-1)) {
		t.Errorf("remembered are %d of the peer's and %d of %d others': %q", mine, theirs, others, got)
	}
	if lines, most := strings.Count(log.String(), "level=WARN"), 50+2+int(time.Since(begun).Seconds()); lines < others || lines > most {
		t.Errorf("%d lines of the log, want %d at most", lines, most)
	}
}

// Where there is room, an address has its newest few reasons.
func TestAnAddressHasAFewRefusals(t *testing.T) {
	t.Parallel()
	b := NewSwitchboard(BoardConfig{Log: slog.New(slog.DiscardHandler)})
	for _, reason := range []string{"a", "b", "c", "b", "d"} {
		b.Refuse(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, errors.New(reason))
	}
	var reasons []string
	for _, line := range b.Refused() {
		reasons = append(reasons, line[len(line)-1:])
	}
	if want := []string{"d", "b", "c"}; !slices.Equal(reasons, want) {
		t.Errorf("remembered %v, want %v", reasons, want)
	}
}
