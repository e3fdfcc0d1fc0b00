package e2e

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"poolwire/integration/scenario"
)

// Bad input gets an error that names field and value, the documented exit
// code, and changes nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	p := newPair(t, "badinput")
	p.do(t, "private-network", "create", "blue", "--vni", "7", "--pool", "paris")
	state := func() string {
		all := p.do(t, "rule", "list", "-o", "json") + p.do(t, "private-network", "list", "-o", "json") + p.do(t, "vif", "list", "-o", "json")
		return regexp.MustCompile(`.*"(confirmed_revision|peers_up)".*\n`).ReplaceAllString(all, "")
	}
	eventually(t, p.shows("2/2 ready", "private-network", "list"))
	before := state()
	rule := "add-rule bridge=xenbr0 direction=to protocol=tcp port=22 ipRange=10.0.0.0/8 allow=false "
	for _, tc := range []struct {
		args string
		code int
		want []string
	}{
		{strings.Replace(rule, "xenbr0", "xenbr9", 1), 2, []string{"bridge", "xenbr9", "xenbr0"}},
		{rule + "mac=zz:00", 2, []string{"mac", "zz:00"}},
		{strings.Replace(rule, "10.0.0.0/8", "10.0.0.0/99", 1), 2, []string{"ip_range", "10.0.0.0/99"}},
		{strings.Replace(rule, " port=22", "", 1), 2, []string{"port", "tcp"}},
		{strings.Replace(rule, "tcp", "icmp", 1), 2, []string{"port", "22"}},
		{rule + "priority=65536", 2, []string{"priority", "65536"}},
		{"private-network create red --vni 7 --bridge pw8 --pool paris", 4, []string{"vni", "7", "blue"}},
		{"private-network create red --vni 16777216 --pool paris", 2, []string{"vni", "16777216"}},
		{"private-network create red --pool paris --host paris1", 2, []string{"members", "paris1"}},
		{"private-network create red --pool paris --bridge xenbr0", 2, []string{"bridge", "xenbr0", "eth0"}},
		{"host add again --pool paris --address " + p.h1.Addr.String() + ":6640", 4, []string{"address", "paris1"}},
		{"private-network create red --pool paris --mtu 9000 --strict-mtu", 2, []string{"mtu", "9000"}},
		{"private-network create red --host nobody", 3, []string{"nobody"}},
		{"vif lock " + p.a.VIF().UUID + " --ipv4 10.0.0.300", 2, []string{"ipv4_allowed", "10.0.0.300"}},
	} {
		_, err := p.Poolwire(within(t, time.Minute), strings.Fields(tc.args)...)
		var failed *scenario.ClientError
		if !errors.As(err, &failed) || failed.Code != tc.code {
			t.Errorf("%s: %v, want exit %d", tc.args, err, tc.code)
			continue
		}
		for _, word := range tc.want {
			if !strings.Contains(strings.ToLower(failed.Message), strings.ToLower(word)) {
				t.Errorf("%s: message lacks %q: %s", tc.args, word, failed.Message)
			}
		}
	}
	if after := state(); after != before {
		t.Errorf("state changed from\n%s\nto\n%s", before, after)
	}
}

// A rule for a VIF that is not plugged is accepted, shown as pending, and takes
// effect when the VIF is plugged.
func TestRuleForUnpluggedVIFIsPending(t *testing.T) {
	t.Parallel()
	p := newPair(t, "pending")
	ctx := within(t, time.Minute)
	opts := vmOptions("later", "", 5)
	opts.Unplugged = true
	later, err := p.h1.AddVM(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	p.do(t, "add-rule", "bridge=xenbr0", "mac="+later.MAC().String(), "direction=to", "protocol=icmp", "ipRange=10.66.0.0/24", "allow=false")
	if out := p.do(t, "rule", "list"); !strings.Contains(out, "pending") {
		t.Errorf("the rule is not shown as pending:\n%s", out)
	}
	if err := later.Plug(ctx, p.h1); err != nil {
		t.Fatal(err)
	}
	eventually(t, p.shows("confirmed", "rule", "list"))
	blocked(t, later, p.a.IPv4())
}
