package flowcompiler

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

func TestGoldenAdmit(t *testing.T) {
	t.Parallel()
	in := externalInput()
	in.VIFs[0].Rules = []Rule{{ID: 11, Direction: From, Protocol: IP}}
	golden(t, TableAdmit, "base", Input{})
	golden(t, TableAdmit, "external", in)
	golden(t, TableAdmit, "private", examplePrivate())
	golden(t, TableAdmit, "base_no_limit", Input{Bridge: Bridge{NoLearnLimit: true}})
}

// notAdmitted matches what table admit has dropped, in a dump of it.
var notAdmitted = regexp.MustCompile(`n_packets=(\d+), n_bytes=\d+, priority=0 `)

// notAdmitted returns how many packets table admit has dropped.
func (b *testBridge) notAdmitted(t testing.TB) int {
	t.Helper()
	dump := b.ofctl(t, "dump-flows", b.name, fmt.Sprintf("table=%d", TableAdmit))
	m := notAdmitted.FindStringSubmatch(dump)
	if m == nil {
		t.Fatalf("table admit has no miss:\n%s", dump)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSwitchLearnLimitIsNoWayAroundRules lets a VIF with inbound rules use up a
// share of two MAC addresses. From then on it cannot send from another, so that
// NORMAL never learns one whose traffic would get around the rules: not from the
// packets, and not when the switch looks again at what it keeps in its cache.
func TestSwitchLearnLimitIsNoWayAroundRules(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.VIFs[0].Rules = []Rule{{ID: 11, Direction: From, Protocol: UDP, Prefix: prefix("203.0.113.5")}}
	c := mustCompile(t, in)
	b.install(t, c)
	var small bytes.Buffer
	for f := range c.Flows() {
		if f.Table == uint8(TableLearn) {
			fmt.Fprintln(&small, strings.Replace(f.String(), "limit=1024", "limit=2", 1))
		}
	}
	b.file(t, small.Bytes(), "add-flows")

	first, second, third := vmMAC(1), vmMAC(2), vmMAC(3)
	from := func(src flow.MAC) string {
		return fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,dl_type=0x1234", src, macX)
	}
	inwards := func(dst flow.MAC, address string) string {
		return fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,udp,nw_src=%s,nw_dst=192.0.2.1", macX, dst, address)
	}
	for _, src := range []flow.MAC{first, second} {
		b.receive(t, "vmA", injected(src, macX))
		b.await(t, TableLearned, src.String())
		b.judge(t, []expect{{"remembered", from(src), passes}})
		eventually(t, "what is remembered passes", func() bool {
			b.receive(t, "vmA", injected(src, macX))
			return b.forwardsTo(t, src)
		})
	}
	b.judge(t, []expect{
		{"one too many", from(third), "drop"},
		{"its own", from(macA), passes},
		{"to the first, denied", inwards(first, "203.0.113.5"), "drop"},
		{"to the second, denied", inwards(second, "203.0.113.5"), "drop"},
		{"to the second, not denied", inwards(second, "203.0.113.6"), "vmA"},
		{"to its own, denied", inwards(macA, "203.0.113.5"), "drop"},
	})

	const packets = 5
	before := b.notAdmitted(t)
	for range packets {
		b.receive(t, "vmA", injected(third, macX))
	}
	eventually(t, "all packets are accounted for as dropped", func() bool { return b.notAdmitted(t) >= before+packets })
	if b.forwardsTo(t, third) {
		t.Errorf("NORMAL has learned the address from dropped packets:\n%s", b.macTable(t))
	}

	b.ofctl(t, "del-flows", b.name, fmt.Sprintf("table=%d,dl_dst=%v", TableLearned, first))
	b.receive(t, "vmA", injected(third, macX))
	b.await(t, TableLearned, third.String())
	b.judge(t, []expect{
		{"one has gone, another has its place", from(third), passes},
		{"to the other, denied", inwards(third, "203.0.113.5"), "drop"},
		{"the one that has gone", from(first), "drop"},
	})
}

// TestSwitchAddressWithoutRulesIsNotAdmitted: where what is sent to a MAC address is
// not filtered, because it is that of a VIF without rules, a VIF with rules must not
// take it, whether the switch can limit what it learns or not.
func TestSwitchAddressWithoutRulesIsNotAdmitted(t *testing.T) {
	for _, noLimit := range []bool{false, true} {
		b := externalBridge(t, testPort{name: "eth0", number: 9})
		in := externalInput()
		in.Bridge.NoLearnLimit = noLimit
		in.VIFs[0].Rules = []Rule{{ID: 11, Direction: From, Protocol: UDP, Prefix: prefix("203.0.113.5")}}
		b.install(t, mustCompile(t, in))
		b.receive(t, "vmB", injected(macB, macX))
		eventually(t, "the switch knows where the VIF without rules is", func() bool { return b.forwardsTo(t, macB) })
		b.receive(t, "vmA", injected(macB, macX), injected(macD, macX))
		b.await(t, TableLearned, macD.String())
		b.judge(t, []expect{
			{"from it", fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,dl_type=0x1234", macB, macX), "drop"},
			{"from another", fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,dl_type=0x1234", macD, macX), passes},
			{"to it", fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,udp,nw_src=203.0.113.5", macX, macB), "vmB"},
			{"from it, where it is", fmt.Sprintf("in_port=2,dl_src=%v,dl_dst=%v,dl_type=0x1234", macB, macX), passes},
		})
	}
}

// TestSwitchAnotherVIFsAddressIsNotAdmitted: what is remembered of one VIF with rules
// lets no other one send from it.
func TestSwitchAnotherVIFsAddressIsNotAdmitted(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	for i := range 2 {
		in.VIFs[i].Rules = []Rule{{ID: uint32(11 + i), Direction: From, Protocol: IP}}
	}
	b.install(t, mustCompile(t, in))
	b.receive(t, "vmA", injected(macD, macX))
	b.await(t, TableLearned, macD.String())
	b.judge(t, []expect{
		{"the VIF that uses it", fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,dl_type=0x1234", macD, macX), passes},
		{"another", fmt.Sprintf("in_port=2,dl_src=%v,dl_dst=%v,dl_type=0x1234", macD, macX), "drop"},
	})
	b.receive(t, "vmB", injected(macD, macX))
	b.await(t, TableLearned, fmt.Sprintf("%v actions=load:0x65->NXM_NX_REG4[]", macD))
	b.judge(t, []expect{{"it has moved", fmt.Sprintf("in_port=2,dl_src=%v,dl_dst=%v,dl_type=0x1234", macD, macX), passes}})
}
