package openflow

import (
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// asyncMasks is how ovs-ofctl prints that only port status messages are wanted.
const asyncMasks = "\n       PACKET_IN: (off)\n     PORT_STATUS: add delete modify\n    FLOW_REMOVED: (off)\n"

// ofpPrint is what ovs-ofctl makes of a message.
func ofpPrint(t *testing.T, message []byte) string {
	t.Helper()
	out, err := exec.Command("ovs-ofctl", "ofp-print", hex.EncodeToString(message), "2").CombinedOutput()
	if err != nil {
		t.Fatalf("ovs-ofctl (Debian package openvswitch-switch): %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestEncodingIsWhatOpenVSwitchReads compares every message we build with what
// ovs-ofctl, which shares its decoder with ovs-vswitchd, reads in it.
func TestEncodingIsWhatOpenVSwitchReads(t *testing.T) {
	t.Parallel()
	port := Port{Number: 7, MAC: flow.MAC{2, 0, 0, 0, 0, 9}}
	ours := flow.Flow{Table: 3, Priority: 9, Cookie: 0x50, Match: flow.NewMatch().InPort(4).Build(), Instructions: flow.Apply(flow.Output(1))}
	add, err := appendBundleAdd(nil, 0x22, 5, &ours, flow.Add)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		message []byte
		want    []string
	}{
		{"hello", hello(2), []string{"OFPT_HELLO (OF1.3) (xid=0x2):", "version bitmap: 0x04"}},
		{"hello failed", helloFailed(2), []string{"OFPHFC_INCOMPATIBLE", "only OpenFlow 1.3"}},
		{"features", bare(typeFeaturesRequest, 3), []string{"OFPT_FEATURES_REQUEST (OF1.3) (xid=0x3):"}},
		{"async", asyncPortStatusOnly(4), []string{"OFPT_SET_ASYNC (OF1.3) (xid=0x4):", " primary:" + asyncMasks, " secondary:" + asyncMasks}},
		{"echo request", bare(typeEchoRequest, 1), []string{"OFPT_ECHO_REQUEST (OF1.3) (xid=0x1): 0 bytes of payload"}},
		{"echo reply", withBody(typeEchoReply, 1, []byte("abc")), []string{"OFPT_ECHO_REPLY (OF1.3) (xid=0x1): 3 bytes of payload"}},
		{"barrier", bare(typeBarrierRequest, 9), []string{"OFPT_BARRIER_REQUEST (OF1.3) (xid=0x9):"}},
		{"master", roleRequest(8, RoleMaster, 0x1234), []string{"OFPT_ROLE_REQUEST (OF1.3) (xid=0x8): role=primary generation_id=4660"}},
		{"slave", roleRequest(8, RoleSlave, 1), []string{"role=secondary generation_id=1"}},
		{"equal", roleRequest(8, RoleEqual, 0), []string{"role=equal"}},
		{"port desc", multipartRequest(6, multipartPortDesc, nil), []string{"OFPST_PORT_DESC request (OF1.3) (xid=0x6): port=ANY"}},
		{"all flows", multipartRequest(6, multipartFlow, FlowFilter{Table: TableAll}.body()), []string{"OFPST_FLOW request (OF1.3) (xid=0x6):"}},
		{"count of flows", multipartRequest(6, multipartAggregate, FlowFilter{Table: TableAll}.body()), []string{"OFPST_AGGREGATE request (OF1.3) (xid=0x6):"}},
		{"some flows", multipartRequest(6, multipartFlow, FlowFilter{Table: 4, Cookie: 0x50 << 56, CookieMask: 0xff << 56}.body()),
			[]string{"table=4"}},
		{"port mod", portMod(5, port, PortNoForward, PortNoForward|PortDown),
			[]string{"OFPT_PORT_MOD (OF1.3) (xid=0x5): port: 7: addr:02:00:00:00:00:09", "config: NO_FWD", "mask:   PORT_DOWN NO_FWD", "advertise: UNCHANGED"}},
		{"meter in kbit/s", meterMod(5, meterAdd, Meter{ID: 7, Rate: 10000, Burst: 2000}), []string{"OFPT_METER_MOD (OF1.3) (xid=0x5): ADD meter=7 kbps burst stats bands=", "type=drop rate=10000 burst_size=2000"}},
		{"meter in packets/s", meterMod(5, meterModify, Meter{ID: 1, Packets: true, Rate: 20, Burst: 20}), []string{"MOD meter=1 pktps burst stats bands=", "type=drop rate=20 burst_size=20"}},
		{"meter gone", meterMod(5, meterDelete, Meter{ID: 7}), []string{"DEL meter=7"}},
		{"packet-in wanted", setAsync(4, actionPacketIns), []string{"PACKET_IN: no_match action"}},
		{"packet-out", packetOut(6, flow.PortController, []byte(flow.Output(3)), make([]byte, 60)),
			[]string{"OFPT_PACKET_OUT (OF1.3) (xid=0x6): in_port=CONTROLLER actions=output:3 data_len=60"}},
		{"zone flush", zoneFlush(8, 0x1234), []string{"NXT_CT_FLUSH_ZONE (OF1.3) (xid=0x8): zone_id=4660"}},
		{"fragments", setConfig(9, FragmentsMatch), []string{"OFPT_SET_CONFIG (OF1.3) (xid=0x9): frags=nx-match"}},
		{"bundle open", appendBundleControl(nil, 0x21, 5, bundleOpen), []string{"bundle_id=0x5 type=OPEN_REQUEST flags=atomic ordered"}},
		{"bundle commit", appendBundleControl(nil, 0x21, 5, bundleCommit), []string{"bundle_id=0x5 type=COMMIT_REQUEST flags=atomic ordered"}},
		{"bundle close", appendBundleControl(nil, 0x21, 5, bundleClose), []string{"type=CLOSE_REQUEST"}},
		{"bundle discard", appendBundleControl(nil, 0x21, 5, bundleDiscard), []string{"type=DISCARD_REQUEST"}},
		{"bundle add", add, []string{"bundle_id=0x5 flags=atomic ordered", "OFPT_FLOW_MOD (OF1.3) (xid=0x22): ADD table:3 priority=9,in_port=4 cookie:0x50 actions=output:1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := ofpPrint(t, test.message)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("ovs-ofctl reads\n%s\nwant in it %q", got, want)
				}
			}
		})
	}
}

// TestErrorNamesAreThoseOfOpenVSwitch compares each name with what ovs-ofctl
// prints for an error of those numbers.
func TestErrorNamesAreThoseOfOpenVSwitch(t *testing.T) {
	t.Parallel()
	check := func(e SwitchError, body []byte) {
		got := ofpPrint(t, withBody(typeError, 1, body))
		if !strings.Contains(got, e.Name()) && !strings.Contains(got, "***decode error") {
			t.Errorf("ovs-ofctl reads\n%s\nwe call it %s", got, e.Name())
		}
	}
	for _, e := range []SwitchError{{Type: 1, Code: 6}, {Type: 2, Code: 4}, {Type: 2, Code: 10}, {Type: 3, Code: 2}, {Type: 4, Code: 6},
		{Type: 4, Code: 9}, {Type: 5, Code: 1}, {Type: 5, Code: 3}, {Type: 7, Code: 1}, {Type: 11, Code: 0}, {Type: 12, Code: 2}} {
		check(e, []byte{0, byte(e.Type), 0, byte(e.Code)})
	}
	for code := onfBundleFirstError; code < onfBundleFirstError+16; code++ {
		check(SwitchError{Type: errorTypeExperimenter, Code: code, Experimenter: onfExperimenter},
			[]byte{0xff, 0xff, byte(code >> 8), byte(code), 0x4f, 0x4e, 0x46, 0})
	}
}

func TestFlowThatFitsNoMessage(t *testing.T) {
	t.Parallel()
	f := flow.Flow{Instructions: flow.Instructions(strings.Repeat("x", 65535-72))}
	b := []byte("before")
	if got, err := appendBundleAdd(b, 1, 1, &f, flow.Add); err == nil || string(got) != "before" {
		t.Errorf("bundle add of a flow mod of nearly 64 KiB: %d bytes, %v", len(got), err)
	}
	if _, err := appendBundleAdd(nil, 1, 1, &f, flow.DeleteStrict); err != nil {
		t.Errorf("its deletion: %v", err)
	}
}
