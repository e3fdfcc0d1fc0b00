package lab_test

import (
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/labtest"
)

// The packets to a node are late, and lost, as long as they are to be, and nothing else is.
func TestLateNode(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "late"})
	here := l.Controller()
	there, err := l.AddNode(ctx, "ctl2")
	must(t, err)
	pings := func() lab.PingResult {
		t.Helper()
		r, err := here.PingCount(ctx, there.Addr, lab.PingOptions{Count: 200, Interval: 5 * time.Millisecond, Wait: time.Second})
		must(t, err)
		return r
	}
	round := func() (took time.Duration) {
		t.Helper()
		began := time.Now()
		must(t, here.Ping(ctx, there.Addr))
		return time.Since(began)
	}
	must(t, here.Ping(ctx, there.Addr))
	end, err := l.LateNode(ctx, there, lab.Lateness{Least: 100 * time.Millisecond, Most: 200 * time.Millisecond})
	must(t, err)
	if took := round(); took < 100*time.Millisecond {
		t.Errorf("there and back in %s", took)
	}
	if r := pings(); r.Lost() != 0 {
		t.Errorf("late packets are lost: %+v", r)
	}
	must(t, end())
	must(t, end())
	if r := pings(); r.Lost() != 0 {
		t.Errorf("afterwards: %+v", r)
	}
	end, err = l.LateNode(ctx, there, lab.Lateness{Lost: 0.3, Overtaking: true, Most: 50 * time.Millisecond})
	must(t, err)
	if r := pings(); r.Lost() < 30 || r.Lost() > 90 {
		t.Errorf("3 in 10 are to be lost: %+v", r)
	}
	must(t, end())
	must(t, here.Ping(ctx, there.Addr))
}
