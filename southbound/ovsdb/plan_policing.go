package ovsdb

import (
	"fmt"
	"strconv"
	"strings"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// policing sets the ingress policing of others' interfaces, notes what there was
// before, and puts that back where none is desired any more.
func (p *planner) policing(desired map[string]Policing) {
	if !p.s.schema.has(tableInterface, "ingress_policing_rate") || !p.s.schema.has(tableInterface, "ingress_policing_burst") {
		return
	}
	for _, name := range names(p.interfaces) {
		i := p.interfaces[name]
		want, wanted := desired[name]
		before, noted := i.ExternalIDs[KeyPolicingBefore]
		if p.owned(i.ExternalIDs) || !wanted && !noted {
			continue
		}
		have := Policing{i.PolicingRate, i.PolicingBurst}
		var ids mapEdit
		switch {
		case !wanted:
			want = parsePolicing(before)
			ids.remove = []string{KeyPolicingBefore}
		case !noted:
			ids.set(i.ExternalIDs, KeyPolicingBefore, have.note())
		}
		if have != want {
			p.rest = append(p.rest, updateOp(tableInterface, i.UUID,
				libovsdb.Row{"ingress_policing_rate": int(want.Rate), "ingress_policing_burst": int(want.Burst)}))
		}
		if m := ids.mutations("external_ids"); len(m) > 0 {
			p.rest = append(p.rest, mutateOp(tableInterface, i.UUID, m...))
		}
	}
}

// note is the policing as external_ids keep it.
func (l Policing) note() string { return fmt.Sprintf("%d,%d", l.Rate, l.Burst) }

// parsePolicing reads a note; one that somebody spoilt means none.
func parsePolicing(note string) Policing {
	rate, burst, _ := strings.Cut(note, ",")
	r, errR := strconv.ParseInt(rate, 10, 32)
	b, errB := strconv.ParseInt(burst, 10, 32)
	if errR != nil || errB != nil || r < 0 || b < 0 {
		return Policing{}
	}
	return Policing{r, b}
}
