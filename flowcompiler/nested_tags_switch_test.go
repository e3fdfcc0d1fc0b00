package flowcompiler

import (
	"encoding/hex"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// tagged is an Ethernet frame in hex with a TCP packet to port 22 behind some tags.
func tagged(src, dst flow.MAC, tags string) string {
	ip := []byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 99, 192, 0, 2, 10}
	tcp := []byte{0x9c, 0x40, 0, 22, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0}
	return hex.EncodeToString(dst[:]) + hex.EncodeToString(src[:]) + tags + "0800" + hex.EncodeToString(append(ip, tcp...))
}

// TestSwitchNestedTagsHideNothing: what no rule can look into reaches no guarded VIF, and
// leaves none, whatever the tags are.
func TestSwitchNestedTagsHideNothing(t *testing.T) {
	shut := func(r *PolicyRule) { r.Inbound, r.Action, r.Protocol, r.LocalPorts = true, Drop, protoTCP, ports(22) }
	for name, rule := range map[string]PolicyRule{
		"stateful": vifRule(1, shut),
		"stateless": vifRule(1, func(r *PolicyRule) {
			shut(r)
			r.Stateless = true
		}),
	} {
		t.Run(name, func(t *testing.T) {
			input := policedInput(rule)
			input.Networks[0].DropInbound, input.Networks[0].DropOutbound = false, false
			input.VIFs[0].Trunks = []uint16{10}
			b := policyBridge(t, input)
			for _, tags := range []struct{ name, tags string }{
				{"none", ""}, {"priority", "81000000"}, {"two priorities", "8100000081000000"}, {"service and priority", "88a8000081000000"},
				{"priority and service", "8100000088a80000"}, {"three", "810000008100000081000000"},
				{"its trunk and priority", "8100000a81000000"}, {"its trunk and service", "8100000a88a80000"},
			} {
				nested := len(tags.tags) > 8
				// ofproto/trace makes up no tuple of a connection for rules that look at it.
				if got := b.fate(t, b.traceText(t, "in_port=9", tagged(macX, macA, tags.tags))); got != "drop" && (nested || rule.Stateless) {
					t.Errorf("tags: %s: a port that is shut is reached: %s", tags.name, got)
				}
				if !nested {
					continue
				}
				if got := b.fate(t, b.traceText(t, "in_port=1", tagged(macA, macX, tags.tags))); got != "drop" {
					t.Errorf("tags: %s: leaves the guarded VIF: %s", tags.name, got)
				}
				if got := b.fate(t, b.traceText(t, "in_port=9", tagged(macX, macB, tags.tags))); !strings.Contains(got, "vmB") {
					t.Errorf("tags: %s: does not reach the VIF that nothing guards: %s", tags.name, got)
				}
			}
		})
	}
}
