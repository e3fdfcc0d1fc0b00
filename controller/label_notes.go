package controller

import (
	"fmt"
	"maps"
	"slices"

	"poolwire/southbound/ovsdb"
)

// maxNoted is how many characters of a key that a host reports are repeated.
const maxNoted = 80

// ignoredLabels says which labels of a host's report are passed over, by VIF UUID.
func ignoredLabels(topo ovsdb.Topology) map[string][]string {
	var out map[string][]string
	for _, p := range topo.Ports {
		if p.Kind != ovsdb.PortVIF {
			continue
		}
		for _, key := range p.IgnoredLabels() {
			if out == nil {
				out = map[string][]string{}
			}
			out[p.VIFUUID] = append(out[p.VIFUUID], fmt.Sprintf("external_ids:%.*q of %s is ignored: a label has 1 to 63 characters of [a-z0-9._/-] as its key, up to 63 of [A-Za-z0-9._-] as its value, and a VIF 64 labels",
				maxNoted, key, p.Name))
		}
	}
	return out
}

// noteLabels publishes which labels of a report are passed over, when that has changed.
func (s *hostSession) noteLabels(topo ovsdb.Topology) {
	ignored := ignoredLabels(topo)
	if !maps.EqualFunc(ignored, s.state.Load().ignored, slices.Equal) {
		s.update(func(st *hostState) { st.ignored = ignored })
	}
}
