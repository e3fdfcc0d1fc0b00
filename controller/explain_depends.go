package controller

import (
	"fmt"
	"net/netip"
	"slices"

	"poolwire/policytext"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// maxTrials bounds how many other addresses are tried in place of one that was made up.
const maxTrials = 2000

// depend says on which addresses that were made up the verdict depends: with another one
// it would be another.
func (x *explanation) depend() error {
	verdict := x.final().verdict()
	for _, e := range []*end{&x.from, &x.to} {
		if !e.anyOf.IsValid() {
			continue
		}
		trials := x.trials(*e)
		if len(trials) > maxTrials {
			x.out.DependsOn = append(x.out.DependsOn, fmt.Sprintf("perhaps the address %s, which is made up: say which it is with %s", e.addr, e.flag))
			continue
		}
		for _, addr := range trials {
			if err := x.ctx.Err(); err != nil {
				return err
			}
			other, err := x.with(e, addr)
			if err != nil {
				return err
			}
			if other.final().verdict() != verdict {
				x.out.DependsOn = append(x.out.DependsOn, fmt.Sprintf("the address %s, which is made up: with %s in its place it %s; say which it is with %s",
					e.addr, addr, other.becomes(), e.flag))
				break
			}
		}
	}
	return nil
}

// with asks the same question with another address of one end. The bridges are compiled
// already.
func (x *explanation) with(e *end, addr netip.Addr) (*explanation, error) {
	other := *x
	if e == &x.from {
		other.from.addr = addr
	} else {
		other.to.addr = addr
	}
	other.out, other.unknown, other.journeys = new(poolwirev1.ExplainResponse), "", nil
	_, err := other.travel()
	return &other, err
}

// becomes says in words what becomes of the packet.
func (x *explanation) becomes() string {
	text := "passes"
	if !x.final().reached {
		text = "is dropped"
	}
	id, found := x.decision()
	if e := x.entryOf(id); found && e != nil {
		text += " by " + ruleLabel(e) + " (" + policytext.Action(e.GetAction()) + " " + e.GetMatch() + ")"
	}
	return text
}

// trials lists addresses that stand for all that could be in the place of one: the flows
// on the packet's way tell addresses apart by prefixes alone, so that there is nothing to
// be had but at, and right beside, the bounds of these.
func (x *explanation) trials(e end) []netip.Addr {
	other := x.to.addr
	if e.addr == x.to.addr {
		other = x.from.addr
	}
	var out []netip.Addr
	for _, j := range x.journeys {
		seen := map[bridgeAt]map[uint8]bool{}
		for _, s := range j.steps {
			if seen[s.at] == nil {
				seen[s.at] = map[uint8]bool{}
			}
			if seen[s.at][s.step.Table] {
				continue
			}
			seen[s.at][s.step.Table] = true
			for _, p := range x.bridges[s.at].told(s.step.Table) {
				last := lastOf(p)
				for _, a := range []netip.Addr{p.Addr(), p.Addr().Prev(), last, last.Next()} {
					if a.IsValid() && e.anyOf.Contains(a) && isStation(a) && a != other {
						out = append(out, a)
					}
				}
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// isStation says whether an address can be that of one station.
func isStation(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsLoopback() && !isGroupAddress(a)
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
