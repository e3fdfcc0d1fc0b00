package flowcompiler

import "testing"

func TestGoldenFromVIF(t *testing.T) {
	t.Parallel()
	external := externalInput()
	external.Networks[0].Rules = []Rule{
		{ID: 11, Direction: Both, Protocol: TCP, Prefix: prefix("203.0.113.0/24"), Port: 22, HasPort: true, Priority: 100},
		{ID: 12, Direction: To, Protocol: TCP, Prefix: prefix("203.0.113.7"), Port: 22, HasPort: true, Allow: true, Priority: 100},
	}
	external.VIFs[0].Rules = []Rule{
		{ID: 13, Direction: To, Protocol: ICMP, Priority: 100},
		{ID: 14, Direction: From, Protocol: ICMP, Priority: 100},
		{ID: 15, Direction: To, Protocol: UDP, Prefix: prefix("2001:db8::/64"), Port: 53, HasPort: true, Allow: true, Priority: 99},
	}
	external.VIFs[1].Rules = []Rule{{ID: 16, Direction: From, Protocol: IP, Priority: 100}}
	private := redInput()
	private.Networks[0].Rules = []Rule{{ID: 11, Direction: From, Protocol: ARP, Prefix: prefix("203.0.113.5"), Priority: 100}}
	golden(t, TableFromVIF, "base", Input{})
	golden(t, TableFromVIF, "external", external)
	golden(t, TableFromVIF, "private", private)
	every := externalInput()
	for i, rc := range ruleCases {
		rc.rule.ID, rc.rule.Priority = uint32(300+i), uint16(1000-i)
		every.Networks[0].Rules = append(every.Networks[0].Rules, rc.rule)
	}
	golden(t, TableFromVIF, "every_kind_of_rule", every)
}
