package controller

import (
	"errors"
	"strings"

	"poolwire/southbound/ovsdb"
)

// conflictsIn lists the wishes that a plan could not fulfil.
func conflictsIn(err error) []*ovsdb.ConflictError {
	var one *ovsdb.ConflictError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*ovsdb.ConflictError
		for _, e := range joined.Unwrap() {
			out = append(out, conflictsIn(e)...)
		}
		return out
	}
	if errors.As(err, &one) {
		return []*ovsdb.ConflictError{one}
	}
	return nil
}

// without leaves out of desired rows what somebody else's rows are in the way of:
// waiting for it would hold up everything else on the host for ever.
func without(d ovsdb.Desired, conflicts []*ovsdb.ConflictError) ovsdb.Desired {
	if len(conflicts) == 0 {
		return d
	}
	type name struct{ bridge, port string }
	refused := map[name]bool{}
	for _, c := range conflicts {
		refused[name{c.Bridge, c.Port}] = true
	}
	out := d
	out.Bridges = nil
	for _, b := range d.Bridges {
		if refused[name{b.Name, ""}] {
			continue
		}
		ports := b.Ports
		b.Ports = nil
		for _, p := range ports {
			if !refused[name{b.Name, p.Name}] {
				b.Ports = append(b.Ports, p)
			}
		}
		out.Bridges = append(out.Bridges, b)
	}
	return out
}

// othersControl names the bridges that a controller of somebody else's keeps
// under control. A passive one ("pssl:") controls nothing until it is called.
func othersControl(t ovsdb.Topology) map[string]bool {
	out := map[string]bool{}
	for _, b := range t.Bridges {
		for _, c := range b.Controllers {
			if !c.Owned && !strings.HasPrefix(c.Target, "p") {
				out[b.Name] = true
			}
		}
	}
	return out
}
