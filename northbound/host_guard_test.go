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
