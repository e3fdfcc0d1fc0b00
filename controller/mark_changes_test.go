package controller

import (
	"os"
	"testing"

	"pgregory.net/rapid"
)

// TestNoMarkIsForgotten is the promise that the controller rests on: whatever
// changes, the marks lead to the very flows, port settings and rows that a look
// at everything would.
func TestNoMarkIsForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		sub, err := os.MkdirTemp(dir, "w")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(sub) }()
		s := openState(t, sub)
		defer s.close()
		w := newWorld(s)
		pool1, pool2 := w.pool(1), w.pool(2)
		w.host(pool1, 1)
		w.host(pool1, 2)
		w.host(pool2, 3)
		for _, h := range w.view().Hosts() {
			w.do(seen(h.GetUuid(), w.randomBridge(t, "xenbr0"), w.randomBridge(t, "xapi1")))
		}
		t.Repeat(map[string]func(*rapid.T){
			"report": w.randomReport,
			"intent": w.randomIntent,
			"settle": func(*rapid.T) {
				w.plan(w.dispatch())
				w.follow()
				w.step()
				w.compare()
			},
		})
	})
}
