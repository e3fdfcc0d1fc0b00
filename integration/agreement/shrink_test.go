package agreement

import (
	"fmt"
	"maps"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
)

// shrink takes away of the world what the disagreement does not need.
func (w *world) shrink(b *bridge, p walk.Packet, s session, err error) error {
	fails := func() error {
		if err := w.compile(); err != nil {
			return nil
		}
		if d := w.disagreement(w.evaluate(p, s), w.expect(p, s)); d != "" {
			return fmt.Errorf("evaluator and reference: %s\n%s", d, narrate(w.evaluate(p, s)))
		}
		return nil
	}
	if fails() == nil {
		return fmt.Errorf("packet %s\nsession %+v\n%w\n%v", p.Text(), s, err, w)
	}
	for scope, rules := range maps.Clone(w.ref.Policies) {
		for i := len(rules) - 1; i >= 0; i-- {
			before := w.ref.Policies[scope]
			w.ref.Policies[scope] = slices.Delete(slices.Clone(before), i, i+1)
			if e := fails(); e != nil {
				err = e
			} else {
				w.ref.Policies[scope] = before
			}
		}
	}
	for i := range w.ref.VIFs {
		v := &w.ref.VIFs[i]
		simpler := []func(){
			func() { v.Rules = nil }, func() { v.Locking = flowcompiler.Unlocked }, func() { v.Isolation, v.Community = 0, 0 },
			func() { v.Groups = nil }, func() { v.Trunks = nil }, func() { v.Pairs = nil }, func() { v.MayAdvertise, v.MayServeDHCP = false, false },
		}
		for _, simplify := range simpler {
			before := *v
			simplify()
			if e := fails(); e != nil {
				err = e
			} else {
				*v = before
			}
		}
	}
	_ = fails()
	return fmt.Errorf("packet %s\nsession %+v\n%w\n%v", p.Text(), s, err, w)
}
