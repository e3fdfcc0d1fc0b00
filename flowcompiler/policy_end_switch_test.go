package flowcompiler

import "testing"

// TestSwitchSessionsEndWithTheirRule: when the rule goes that let a session in, it ends both
// ways although the switch remembers it, unless another rule or default action allows it.
func TestSwitchSessionsEndWithTheirRule(t *testing.T) {
	ssh := vifRule(1, func(r *PolicyRule) { r.Inbound, r.Protocol, r.LocalPorts = true, protoTCP, ports(22) })
	web := vifRule(2, func(r *PolicyRule) { r.Outbound, r.Protocol, r.RemotePorts = true, protoTCP, ports(80) })
	other := vifRule(3, func(r *PolicyRule) { r.Outbound, r.Protocol, r.RemotePorts = true, protoTCP, ports(9999) })
	packets := func(what string, inbound, outbound bool) []expect {
		answered := func(way string, ok bool) string {
			if ok {
				return way
			}
			return "drop"
		}
		return []expect{
			{what + ": goes on inwards", inTCP(22).later(), answered(in, inbound)},
			{what + ": its answers", inTCP(22).reply(), answered(out, inbound)},
			{what + ": goes on outwards", outTCP(80).later(), answered(out, outbound)},
			{what + ": its answers", outTCP(80).reply(), answered(in, outbound)},
			{what + ": goes on inwards, IPv6", v6(inTCP(22)).later(), answered(in, inbound)},
			{what + ": its answers, IPv6", v6(inTCP(22)).reply(), answered(out, inbound)},
		}
	}
	b := policyBridge(t, policedInput(ssh, web, other))
	b.judge(t, packets("with their rules", true, true))
	b.reinstall(t, policedInput(web, other))
	b.judge(t, packets("without the rule for what comes in", false, true))
	b.reinstall(t, policedInput(ssh, other))
	b.judge(t, packets("without the rule for what goes out", true, false))
	b.reinstall(t, policedInput(other))
	b.judge(t, packets("without both", false, false))
}
