package raftstore

import (
	"google.golang.org/protobuf/proto"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Missing is an object with intent that another state does not have.
type Missing struct {
	Kind Kind
	// UUID of the object, and its name_label; empty for one that has none.
	UUID, Name string
	// Known says that the other state has the object, as hosts report it, and no intent for it.
	Known bool
}

// MissingIntent compares two states and returns the objects of old for which somebody had
// asked something, and now has nothing asked for; in the order of tables and keys.
func MissingIntent(old, now *View) []Missing {
	var out []Missing
	for i := range resources {
		r := &resources[i]
		if intentOf(r.table) == nil {
			continue
		}
		for o := range old.each(r.name, indexID, "") {
			if !old.intended(o.msg) {
				continue
			}
			there := now.message(r.table, o.key)
			if there != nil && now.intended(there) {
				continue
			}
			m := Missing{Kind: kindOf(r.table), UUID: o.key, Known: there != nil}
			if named, ok := o.msg.(interface{ GetNameLabel() string }); ok {
				m.Name = named.GetNameLabel()
			}
			out = append(out, m)
		}
	}
	return out
}

// intended says whether somebody asked something for an object: networks and VIFs are there
// without that, too.
func (v *View) intended(m proto.Message) bool {
	switch m := m.(type) {
	case *poolwirev1.Vif:
		return (&tx{View: *v}).vifIntent(m)
	case *poolwirev1.Network:
		asked, nothing := proto.CloneOf(m), proto.CloneOf(m)
		setNetworkIntent(asked, m)
		setNetworkIntent(nothing, &poolwirev1.Network{DefaultInboundAction: actionDefault(0), DefaultOutboundAction: actionDefault(0)})
		asked.DefaultInboundAction, asked.DefaultOutboundAction = actionDefault(asked.GetDefaultInboundAction()), actionDefault(asked.GetDefaultOutboundAction())
		return !proto.Equal(asked, nothing)
	}
	return true
}
