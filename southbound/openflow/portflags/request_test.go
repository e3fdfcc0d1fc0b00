package portflags_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
	"poolwire/southbound/openflow/portflags"
)

func TestPorts(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 3000} {
		fake := openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Ports: somePorts(n), PartPorts: 1300})
		ports, err := attach(t, fake).Ports(testContext(t))
		if err != nil || len(ports) != n {
			t.Fatalf("%d ports of %d, %v", len(ports), n, err)
		}
		for i, p := range ports {
			if want := somePorts(n)[i]; p != (portflags.Port{Number: want.Number, MAC: want.MAC, Name: want.Name}) {
				t.Errorf("port %+v, want %+v", p, want)
			}
		}
	}
	fake := openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Ports: []openflowtest.FlagPort{
		{Number: 0xfffe, MAC: flow.MAC{1, 2, 3, 4, 5, 6}, Name: "a-bridge-of-many-letters", NoFlood: true}, {Name: "\xff"},
	}})
	ports, err := attach(t, fake).Ports(testContext(t))
	want := []portflags.Port{{Number: 0xfffe, MAC: [6]byte{1, 2, 3, 4, 5, 6}, Name: "a-bridge-of-man", NoFlood: true}, {Name: "\uFFFD"}}
	if err != nil || !slices.Equal(ports, want) {
		t.Errorf("%+v, %v", ports, err)
	}
}

func TestSetNoFlood(t *testing.T) {
	t.Parallel()
	fake := openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Ports: somePorts(3)})
	s, ctx := attach(t, fake), testContext(t)
	ports, err := s.Ports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []bool{true, true, false, false} {
		if err := s.SetNoFlood(ctx, ports[1], set); err != nil {
			t.Fatal(err)
		}
		for i, p := range fake.Ports() {
			if p.NoFlood != (set && i == 1) {
				t.Errorf("after %v: %+v", set, p)
			}
		}
	}
	other, gone := ports[1], ports[2]
	other.MAC[5]++
	gone.Number = 77
	for _, p := range []portflags.Port{other, gone} {
		var refused *portflags.SwitchError
		if err := s.SetNoFlood(ctx, p, true); !errors.As(err, &refused) || refused.Type != 4 {
			t.Errorf("port %+v: %v", p, err)
		}
	}
	if err := s.SetNoFlood(ctx, ports[0], true); err != nil { // the session is as good as before
		t.Error(err)
	}
}

// TestNotSet: no error is not enough.
func TestNotSet(t *testing.T) {
	t.Parallel()
	deaf := attach(t, openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Ports: somePorts(1), Deaf: true}))
	one := portflags.Port{Number: 1, MAC: [6]byte{2}}
	if err := deaf.SetNoFlood(testContext(t), one, true); !errors.Is(err, portflags.ErrNotSet) {
		t.Errorf("deaf: %v", err)
	}
	// The port is replaced between the change and the look at it.
	var fake *openflowtest.FlagSwitch
	fake = openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Ports: somePorts(1), Intercept: func(_ net.Conn, m openflowtest.Message) bool {
		if m.Type == statsRequest {
			fake.SetPorts(openflowtest.FlagPort{Number: 1, MAC: flow.MAC{9}, NoFlood: true})
		}
		return false
	}})
	if err := attach(t, fake).SetNoFlood(testContext(t), one, true); !errors.Is(err, portflags.ErrNotSet) {
		t.Errorf("replaced: %v", err)
	}
}

// TestRequestsOfMany: requests from many goroutines do not take each other's answers.
func TestRequestsOfMany(t *testing.T) {
	t.Parallel()
	fake := openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Ports: somePorts(40), PartPorts: 7})
	s, ctx := attach(t, fake), testContext(t)
	ports, err := s.Ports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, p := range ports {
		wg.Go(func() {
			if err := s.SetNoFlood(ctx, p, i%2 == 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, p := range fake.Ports() {
		if p.NoFlood != (i%2 == 0) {
			t.Errorf("port %+v", p)
		}
	}
}

// TestPatience: a caller that gives up leaves a session that works, and a late answer is
// nobody's.
func TestPatience(t *testing.T) {
	t.Parallel()
	asked := make(chan openflowtest.Message, 1)
	var conn net.Conn
	fake := openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Ports: somePorts(2), Intercept: func(nc net.Conn, m openflowtest.Message) bool {
		if m.Type == statsRequest && conn == nil {
			conn = nc
			asked <- m
			return true
		}
		if m.Type == statsRequest { // late, in front of the right one: no ports
			_, _ = nc.Write(raw(17, byte(m.XID-1), 0, 13, 0, 0))
		}
		return false
	}})
	s := attach(t, fake)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	if _, err := s.Ports(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if ports, err := s.Ports(testContext(t)); err != nil || len(ports) != 2 {
		t.Errorf("%v, %v", ports, err)
	}
}

// TestNeverAnswered: a peer that is alive but keeps an answer to itself loses the session.
func TestNeverAnswered(t *testing.T) {
	t.Parallel()
	for _, kept := range []uint8{statsRequest, barrierRequest} {
		t.Run(fmt.Sprint(kept), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := attachPipe(t, openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Ports: somePorts(1), Intercept: func(_ net.Conn, m openflowtest.Message) bool {
					return m.Type == kept
				}}))
				started := time.Now()
				err := s.SetNoFlood(t.Context(), portflags.Port{Number: 1, MAC: [6]byte{2}}, true)
				if !errors.Is(err, portflags.ErrReplyTimeout) || !errors.Is(ended(t, s), portflags.ErrReplyTimeout) {
					t.Errorf("request: %v, session: %v", err, s.Err())
				}
				if took := time.Since(started); took > time.Minute {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestPeerThatDoesNotRead makes the session answer, and does not take the answers: the
// write deadline ends it, and requests with it.
func TestPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		defer close(stop)
		s := attachPipe(t, openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Intercept: func(nc net.Conn, m openflowtest.Message) bool {
			if m.Type == portMod {
				_, _ = nc.Write(raw(echoRequest, 9))
				<-stop
			}
			return false
		}}))
		started := time.Now()
		err := s.SetNoFlood(t.Context(), portflags.Port{Number: 1}, true)
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(s.Err(), os.ErrDeadlineExceeded) {
			t.Errorf("request: %v, session: %v", err, s.Err())
		}
		if took := time.Since(started); took > 11*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestPortsWithoutEnd: parts without a last one are cut off by their number.
func TestPortsWithoutEnd(t *testing.T) {
	t.Parallel()
	fake := openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Intercept: func(nc net.Conn, m openflowtest.Message) bool {
		if m.Type != statsRequest {
			return false
		}
		part := raw(17, byte(m.XID), append([]byte{0, 13, 0, 1}, make([]byte, 1300*48)...)...)
		for {
			if _, err := nc.Write(part); err != nil {
				return true
			}
		}
	}})
	s := attach(t, fake)
	if _, err := s.Ports(testContext(t)); !errors.Is(err, portflags.ErrProtocol) || !errors.Is(ended(t, s), portflags.ErrProtocol) {
		t.Errorf("ports: %v, session: %v", err, s.Err())
	}
}
