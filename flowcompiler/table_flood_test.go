package flowcompiler

import (
	"slices"
	"testing"

	"poolwire/southbound/openflow/flow"
)

func TestGoldenFlood(t *testing.T) {
	t.Parallel()
	golden(t, TableFlood, "base", Input{})
	golden(t, TableFlood, "private", examplePrivate())
	disabled := redInput()
	disabled.VIFs[1].Locking, disabled.VIFs[2].Locking = Disabled, Disabled
	golden(t, TableFlood, "disabled", disabled)
}

// TestFloodOfManyVIFs: a thousand VIFs with rules on one private network fit, and
// a change of one VIF rewrites one page.
func TestFloodOfManyVIFs(t *testing.T) {
	t.Parallel()
	in := manyVIFs(1000, 2)
	in.Networks[0].Private = true
	c := mustCompile(t, in)
	for f := range c.Flows() {
		if !f.Encodable() {
			t.Errorf("does not fit into a flow mod: table %v, %d bytes", Table(f.Table), len(f.Instructions))
		}
	}
	v := in.VIFs[500]
	v.Rules = nil
	c.SetVIF(v)
	changed := slices.DeleteFunc(mustCommit(t, c).Flows.Modify, func(f flow.Flow) bool { return f.Table != uint8(TableFlood) })
	if len(changed) != 1 {
		t.Errorf("%d pages rewritten, want 1", len(changed))
	}
}
