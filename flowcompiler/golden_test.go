package flowcompiler

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"poolwire/southbound/openflow/flow"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// flowText renders flows as ovs-ofctl does, with tables by name: giving a table
// another number edits no golden file.
func flowText(flows []flow.Flow) string {
	var text strings.Builder
	for _, f := range flows {
		text.WriteString(f.Text(flow.TextOptions{TableName: func(table uint8) string { return Table(table).String() }}))
		text.WriteByte('\n')
	}
	return text.String()
}

// golden compares the flows of one table with testdata/<table>/<name>.flows.
// Flows of the bridge as a whole are left out except in the case "base".
func golden(t *testing.T, table Table, name string, in Input) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		compareGolden(t, filepath.Join("testdata", table.String(), name+".flows"), tableFlows(t, table, name, in))
	})
}

func tableFlows(t *testing.T, table Table, name string, in Input) []flow.Flow {
	t.Helper()
	flows := slices.Collect(mustCompile(t, in).Flows())
	return slices.DeleteFunc(flows, func(f flow.Flow) bool {
		cookie, ok := ParseCookie(f.Cookie)
		base := ok && (cookie.Kind == KindBase || cookie == Cookie{Kind: KindLocking})
		return f.Table != uint8(table) || base && !strings.HasPrefix(name, "base")
	})
}

func compareGolden(t *testing.T, file string, flows []flow.Flow) {
	t.Helper()
	got := flowText(flows)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (run go test -update)", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got; go test -update rewrites it):\n%s", file, diff)
	}
}

// TestGoldenBridges compares all flows of whole bridges.
func TestGoldenBridges(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]Input{
		"empty":    {},
		"external": exampleExternal(), "private": examplePrivate(), "overlay": overlayInput(), "policed": examplePoliced(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compareGolden(t, filepath.Join("testdata", "bridge", name+".flows"), slices.Collect(mustCompile(t, in).Flows()))
		})
	}
}

// exampleExternal has one of everything: a locked VIF with a rule of its own, a
// plain one on a VLAN, and network-wide rules.
func exampleExternal() Input {
	in := externalInput()
	in.VIFs[0].Locking = Locked
	in.VIFs[0].IPv4, in.VIFs[0].IPv6 = prefixes("192.0.2.10"), prefixes("2001:db8::10")
	in.VIFs[0].Rules = []Rule{{ID: 201, Direction: Both, Protocol: TCP, Prefix: prefix("203.0.113.0/24"), Port: 22, HasPort: true, Priority: 32768}}
	in.Networks[1].Rules = []Rule{{ID: 202, Direction: From, Protocol: ARP, Prefix: prefix("198.51.100.7"), Priority: 32768}}
	return in
}

// examplePoliced has a VIF that anyone may reach by SSH, on a network where nothing else
// comes in.
func examplePoliced() Input {
	in := externalInput()
	in.Networks = in.Networks[:1]
	in.VIFs = in.VIFs[:1]
	in.Ports = in.Ports[:2]
	in.Networks[0].DropInbound = true
	in.VIFs[0].Zone, in.VIFs[0].Copies = 1, true
	in.Policies = map[PolicyScope][]PolicyRule{
		{OfVIF, vifA}: {vifRule(401, func(r *PolicyRule) { r.Inbound, r.Protocol, r.LocalPorts = true, protoTCP, ports(22) })},
	}
	return in
}

// examplePrivate has a VIF with a rule, a plain one and another host.
func examplePrivate() Input {
	in := redInput()
	in.VIFs[0].Rules = []Rule{{ID: 201, Direction: From, Protocol: UDP, Port: 53, HasPort: true, Priority: 32768}}
	in.Remotes = []Remote{{Network: netRed, Host: hostTwo, MACs: []flow.MAC{remoteMAC}}}
	return in
}
