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

// TestCopiesFollowTrunks: copies into the trunks of a VIF come and go with the VIF, with
// its trunks, and with the networks that they are.
func TestCopiesFollowTrunks(t *testing.T) {
	t.Parallel()
	// VIF A is on a page of its own.
	input := func() Input {
		in := copyInput()
		in.VIFs[0].Ports = []uint32{200}
		return in
	}
	in := input()
	a, ten := in.VIFs[0], in.Networks[1]
	without, elsewhere := a, ten
	without.Trunks = nil
	elsewhere.VLAN = 20
	c := mustCompile(t, in)
	for _, step := range []struct {
		name   string
		change func()
		vif    *VIF
		ten    *Network
	}{
		{"the network goes", func() { c.RemoveNetwork(ten.ID) }, &a, nil},
		{"it comes back", func() { c.SetNetwork(ten) }, &a, &ten},
		{"with another tag", func() { c.SetNetwork(elsewhere) }, &a, &elsewhere},
		{"and back again", func() { c.SetNetwork(ten) }, &a, &ten},
		{"no trunks", func() { c.SetVIF(without) }, &without, &ten},
		{"trunks again", func() { c.SetVIF(a) }, &a, &ten},
		{"the VIF goes", func() { c.RemoveVIF(a.ID) }, nil, &ten},
		{"it comes back", func() { c.SetVIF(a) }, &a, &ten},
	} {
		step.change()
		mustCommit(t, c)
		now := input()
		now.VIFs, now.Networks = now.VIFs[1:], now.Networks[:1]
		if step.vif != nil {
			now.VIFs = append(now.VIFs, *step.vif)
		}
		if step.ten != nil {
			now.Networks = append(now.Networks, *step.ten)
		}
		want, got := slices.Collect(mustCompile(t, now).Flows()), slices.Collect(c.Flows())
		if !slices.Equal(want, got) {
			t.Errorf("%s:\n%s", step.name, diffFlows(want, got))
		}
	}
}
