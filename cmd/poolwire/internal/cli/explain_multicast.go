package cli

import (
	"cmp"
	"strings"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

var listenerColumns = []column[*poolwirev1.ExplainListener]{
	{title: "VIF", value: func(l *poolwirev1.ExplainListener) string { return cmp.Or(l.GetVifNameLabel(), l.GetVifUuid()) }},
	{title: "LISTENS-TO", value: func(l *poolwirev1.ExplainListener) string {
		groups := l.GetGroups()
		if l.GetAllGroups() {
			groups = append([]string{"all groups"}, groups...)
		}
		return strings.Join(groups, ",")
	}},
	{title: "GETS-IT", value: func(l *poolwirev1.ExplainListener) string {
		if !l.GetGets() {
			return joinSet(": ", "no", l.GetReason())
		}
		return "by " + strings.Join(l.GetHosts(), ", ")
	}},
	{title: "UUID", value: (*poolwirev1.ExplainListener).GetVifUuid, wide: true},
}

// printMulticast writes whom a packet for a multicast group goes to, who says that they listen, and who gets it.
func (a *app) printMulticast(m *poolwirev1.ExplainMulticast) error {
	if m == nil {
		return nil
	}
	a.say("")
	a.say("multicast for %s on private network %s", m.GetMacAddress(), cmp.Or(m.GetPrivateNetworkNameLabel(), m.GetPrivateNetworkUuid()))
	a.say("  goes to  %s", m.GetGoesTo())
	a.say("  querier  %s", m.GetQuerier())
	if len(m.GetListeners()) > 0 {
		a.say("")
		if err := printTable(a.streams.Out, m.GetListeners(), listenerColumns, a.flags.output == "wide"); err != nil {
			return err
		}
	}
	if m.GetMore() > 0 {
		a.say("and %s, which the packet was not followed to", plural(uint64(m.GetMore()), "more VIF"))
	}
	return nil
}
