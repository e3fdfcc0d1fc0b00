package cli

import (
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestYAMLFlowsHaveHexadecimalCookies(t *testing.T) {
	t.Parallel()
	f := &fakeServer{flows: []*poolwirev1.Flow{
		{Text: "x", Cookie: 0x5003000000000007, Owned: true, Origin: &poolwirev1.FlowOrigin{Kind: "vif", Name: "web1"}}, {Text: "y"},
	}}
	_, out, errs := f.run(t, "dump-flows", "bridge=xenbr0", "-o", "yaml", "--explain")
	for _, want := range []string{"cookie: \"0x5003000000000007\"", "cookie: \"0x0\"", "name: web1", "table: 0"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %s: %s%s", want, out, errs)
		}
	}
}

func TestOriginsSayNothingTwice(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]*poolwirev1.FlowOrigin{
		"classify: bridge xenbr0":                         {Kind: "bridge", Name: "xenbr0", Purpose: "bridge"},
		"classify: port xenbr0/eth0":                      {Kind: "bridge", Name: "xenbr0/eth0", Purpose: "port"},
		"classify: vif web1 (u)":                          {Kind: "vif", Name: "web1", Uuid: "u", Purpose: "VIF"},
		"classify: VIF rule deny to any icmp (u)":         {Kind: "rule", Name: "deny to any icmp", Uuid: "u", Purpose: "VIF rule"},
		"classify: port locking · vif web1 (u)":           {Kind: "vif", Name: "web1", Uuid: "u", Purpose: "port locking"},
		"classify: port locking · bridge xenbr0":          {Kind: "bridge", Name: "xenbr0", Purpose: "port locking"},
		"classify: private-network blue (u)":              {Kind: "private-network", Name: "blue", Uuid: "u", Purpose: "network"},
		"classify: remote host xcp2 (u)":                  {Kind: "host", Name: "xcp2", Uuid: "u", Purpose: "remote host"},
		"classify: flood list · private-network blue (u)": {Kind: "private-network", Name: "blue", Uuid: "u", Purpose: "flood list"},
		"classify: VIF rule of an object that is gone":    {Kind: "gone", Purpose: "VIF rule"},
		"classify: vif u":                                 {Kind: "vif", Name: "u", Uuid: "u"},
	} {
		if got := originText(&poolwirev1.Flow{Owned: true, TableName: "classify", Origin: o}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
