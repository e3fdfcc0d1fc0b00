package flowcompiler

import "testing"

func TestGoldenToVIF(t *testing.T) {
	t.Parallel()
	in := externalInput()
	in.VIFs[0].Rules = []Rule{
		{ID: 11, Direction: From, Protocol: TCP, Prefix: prefix("203.0.113.0/24"), Port: 22, HasPort: true, Priority: 0},
		{ID: 12, Direction: Both, Protocol: ICMP, Prefix: prefix("2001:db8::/64"), Allow: true, Priority: 0},
		{ID: 13, Direction: To, Protocol: IP, Priority: 5},
	}
	in.Networks[0].Rules = []Rule{{ID: 14, Direction: From, Protocol: IP, Priority: 5}}
	golden(t, TableToVIF, "base", Input{})
	golden(t, TableToVIF, "rules", in)
}
