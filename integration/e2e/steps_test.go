package e2e

import (
	"testing"
	"time"

	"poolwire/integration/scenario"
)

// TestSteps runs what the demo shows, in the demo's order.
func TestSteps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "steps")
	for _, s := range scenario.Steps() {
		ok := t.Run(s.Name, func(t *testing.T) {
			detail, err := s.Run(within(t, 90*time.Second), w)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(detail)
		})
		if !ok {
			t.Fatal("later steps build on this one")
		}
	}
}
