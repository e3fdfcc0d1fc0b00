package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A node asks until it is written down, also when it hears a leader: that may know it by other addresses.
func TestJoining(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		led, known bool
		want       []string
	}{
		"no member":           {false, false, []string{"a", "b"}},
		"nobody leads":        {false, true, []string{"a", "b"}},
		"led, moved":          {true, false, []string{"a", "b"}},
		"led, known as it is": {true, true, nil},
	} {
		var asked []string
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		looks := 0
		joining{
			peers: []string{"a", "b", "c"}, retry: time.Millisecond, log: slog.New(slog.DiscardHandler),
			led: func() bool { return c.led }, known: func() bool { looks++; return c.known },
			ask: func(_ context.Context, peer string) error {
				if asked = append(asked, peer); peer == "b" {
					return nil
				}
				return errors.New("does not answer")
			},
		}.run(ctx)
		if ctx.Err() != nil || !slices.Equal(asked, c.want) {
			t.Errorf("%s: asked %v, want %v", name, asked, c.want)
		}
		if c.led && !c.known && looks < 2 {
			t.Errorf("%s: asked before it could have its own record", name)
		}
		cancel()
	}
}

func TestKnownByItsAddresses(t *testing.T) {
	t.Parallel()
	node := func(raft, api, openflow string) *poolwirev1.Node {
		return &poolwirev1.Node{Id: "n2", RaftAddress: raft, ApiAddress: api, OpenflowAddress: openflow}
	}
	for name, c := range map[string]struct {
		recorded, self *poolwirev1.Node
		want           bool
	}{
		"the same":                     {node("r", "a", "o"), node("r", "a", "o"), true},
		"Raft moved":                   {node("r", "a", "o"), node("x", "a", "o"), false},
		"API moved":                    {node("r", "a", "o"), node("r", "x", "o"), false},
		"OpenFlow moved":               {node("r", "a", "o"), node("r", "a", "x"), false},
		"OpenFlow known from outside":  {node("r", "a", "o"), node("r", "a", ""), true},
		"OpenFlow not known till now":  {node("r", "a", ""), node("r", "a", "o"), false},
		"another node of this address": {&poolwirev1.Node{Id: "n1", RaftAddress: "r", ApiAddress: "a"}, node("r", "a", ""), false},
	} {
		if got := knownBy([]*poolwirev1.Node{{Id: "n0"}, c.recorded}, c.self); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
