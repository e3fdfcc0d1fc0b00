package flowcompiler

import (
	"testing"

	"pgregory.net/rapid"

	"poolwire/southbound/openflow/flow"
)

func TestGoldenForward(t *testing.T) {
	t.Parallel()
	golden(t, TableForward, "base", Input{})
	golden(t, TableForward, "base_private", Input{Networks: redInput().Networks})
	golden(t, TableForward, "base_overlay", Input{Bridge: Bridge{Kind: OverlayBridge}})
	golden(t, TableForward, "private", examplePrivate())
	golden(t, TableForward, "overlay", overlayInput())
}

// TestPrivateBridgesNeverUseNormal, whatever is on them.
func TestPrivateBridgesNeverUseNormal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := world{t}
		c := New()
		for range 15 {
			w.change(c)
		}
		c.SetNetwork(Network{ID: 1, Private: true})
		c.RemoveNetwork(2)
		c.RemoveNetwork(3)
		if _, err := c.Commit(); err != nil {
			t.Fatal(err)
		}
		for f := range c.Flows() {
			if e, err := effectsOf(f.Instructions); err != nil || e.actions&ActionNormal != 0 {
				t.Fatalf("%v, %v", f, err)
			}
		}
		if f := lowest(c, TableClassify); f.Instructions != drop {
			t.Fatalf("unclassified ports are admitted: %v", f)
		}
	})
}

// lowest returns the flow of a table with the lowest priority.
func lowest(c *Compiler, t Table) flow.Flow {
	var last flow.Flow
	for f := range c.Flows() {
		if f.Table == uint8(t) {
			last = f
		}
	}
	return last
}
