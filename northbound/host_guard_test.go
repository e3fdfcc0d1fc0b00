package northbound

import (
	"os/exec"
	"strings"
	"testing"
)

// The rules name no peer, or one that comes later would not be guarded against; nft itself judges that they are rules.
func TestTheGuardOfAHostIsAgainstEverybody(t *testing.T) {
	t.Parallel()
	rules := nftables("xcp1")
	if !strings.Contains(rules, "# Needs Linux 4.20 or later. Older kernels, as that of XCP-ng 8 (4.19)") {
		t.Errorf("nothing of the kernel that they need:\n%s", rules)
	}
	for _, want := range []string{"udp dport { 4789, 6081 } rt ipsec missing drop", "meta l4proto gre rt ipsec missing drop",
		"udp dport { 4789, 6081 } meta ipsec missing drop", "meta l4proto gre meta ipsec missing drop"} {
		if !strings.Contains(rules, want) {
			t.Errorf("no rule %q in\n%s", want, rules)
		}
	}
	if strings.Contains(rules, "addr") {
		t.Errorf("bound to addresses:\n%s", rules)
	}
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("nft is not here to check the rules")
	}
	check := exec.Command(nft, "-c", "-f", "-")
	check.Stdin = strings.NewReader(rules)
	if out, err := check.CombinedOutput(); err != nil && !strings.Contains(string(out), "not permitted") && !strings.Contains(string(out), "not supported") {
		t.Errorf("%v: %s\n%s", err, out, rules)
	}
}

// The rules for older kernels guard the same, both ways, and sh judges that they are a script. That iptables takes them, and what
// they let pass, is seen in integration/e2e.
func TestTheGuardForOlderKernels(t *testing.T) {
	t.Parallel()
	script := iptables("xcp1")
	for _, want := range []string{
		`"OUTPUT -p udp -m multiport --dports 4789,6081 -m policy --dir out --pol none -j DROP"`, `"OUTPUT -p 47 -m policy --dir out --pol none -j DROP"`,
		`"INPUT -p udp -m multiport --dports 4789,6081 -m policy --dir in --pol none -j DROP"`, `"INPUT -p 47 -m policy --dir in --pol none -j DROP"`,
		"for tables in iptables ip6tables; do",
	} {
		if !strings.Contains(script, want) {
			t.Errorf("no %s in\n%s", want, script)
		}
	}
	for _, address := range []string{" -s ", " -d ", "addr"} {
		if strings.Contains(script, address) {
			t.Errorf("bound to addresses:\n%s", script)
		}
	}
	check := exec.Command("sh", "-n")
	check.Stdin = strings.NewReader(script)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, script)
	}
}
