package northbound

import (
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"poolwire/flowcompiler"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// TestDumpFlows: flows come as the switch has them, foreign ones too, and lead
// back to the objects they come from.
func TestDumpFlows(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	rule := f.add(addRule(nil)).GetRule()
	private, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", nil))
	if err != nil {
		t.Fatal(err)
	}
	v := f.store.View()
	cookie := func(k flowcompiler.Kind, object uint32) uint64 {
		return flowcompiler.Cookie{Kind: k, Object: object}.Encode()
	}
	tests := []struct {
		table  uint8
		cookie uint64
		want   *v1.FlowOrigin
	}{
		{0, 1, nil},
		{0, cookie(flowcompiler.KindBase, 0), &v1.FlowOrigin{Kind: "bridge", Name: "xenbr0"}},
		{0, cookie(flowcompiler.KindPort, 1), &v1.FlowOrigin{Kind: "bridge", Name: "xenbr0/eth0", Purpose: "port"}},
		{0, cookie(flowcompiler.KindPort, flow.PortLocal), &v1.FlowOrigin{Kind: "bridge", Name: "xenbr0/LOCAL", Purpose: "port"}},
		{0, cookie(flowcompiler.KindPort, 65534), &v1.FlowOrigin{Kind: "bridge", Name: "xenbr0/LOCAL", Purpose: "port"}},
		{0, cookie(flowcompiler.KindPort, 99), &v1.FlowOrigin{Kind: "bridge", Name: "xenbr0/port 99", Purpose: "port"}},
		{0, cookie(flowcompiler.KindVIF, v.Vif(vif1).GetObjectId()), &v1.FlowOrigin{Kind: "vif", Uuid: vif1, Name: mac1}},
		{10, cookie(flowcompiler.KindLocking, v.Vif(vif1).GetObjectId()), &v1.FlowOrigin{Kind: "vif", Uuid: vif1, Name: mac1, Purpose: "port locking"}},
		{10, cookie(flowcompiler.KindLocking, 0), &v1.FlowOrigin{Kind: "bridge", Name: "xenbr0", Purpose: "port locking"}},
		{20, cookie(flowcompiler.KindVIFRule, rule.GetObjectId()),
			&v1.FlowOrigin{Kind: "rule", Uuid: rule.GetUuid(), Name: "deny to 192.0.2.0/24 tcp port 22 for " + mac1 + " on xenbr0", Purpose: "VIF rule"}},
		{50, cookie(flowcompiler.KindNetwork, f.network(paris, "xenbr0").GetObjectId()),
			&v1.FlowOrigin{Kind: "network", Uuid: f.network(paris, "xenbr0").GetUuid(), Name: "xenbr0"}},
		{37, cookie(flowcompiler.KindFlood, private.GetPrivateNetwork().GetObjectId()),
			&v1.FlowOrigin{Kind: "private-network", Uuid: private.GetPrivateNetwork().GetUuid(), Name: "blue", Purpose: "flood list"}},
		{60, cookie(flowcompiler.KindRemote, v.Host(xcp2).GetObjectId()), &v1.FlowOrigin{Kind: "host", Uuid: xcp2, Name: "xcp2", Purpose: "remote host"}},
		{20, cookie(flowcompiler.KindVIFRule, 4_000_000), &v1.FlowOrigin{Kind: "gone", Purpose: "VIF rule"}},
	}
	f.live.change(func() {
		for i, tt := range tests {
			f.live.flows[xcp1+"/xenbr0"] = append(f.live.flows[xcp1+"/xenbr0"], flow.Stats{
				Flow:     flow.Flow{Table: tt.table, Priority: uint16(1000 + i), Cookie: tt.cookie, Match: flow.NewMatch().InPort(3).Build(), Instructions: flow.Apply(flow.Normal())},
				Duration: 1500 * time.Millisecond, Packets: 7, Bytes: 420,
			})
		}
	})
	got := f.dump(t, &v1.DumpFlowsRequest{Host: "xcp1", Bridge: "xapi1", Explain: true})
	if len(got) != len(tests) {
		t.Fatalf("%d flows, want %d", len(got), len(tests))
	}
	for i, tt := range tests {
		if !proto.Equal(got[i].GetOrigin(), tt.want) {
			t.Errorf("cookie %#x: %v, want %v", tt.cookie, got[i].GetOrigin(), tt.want)
		}
		if got[i].GetOwned() != (tt.want != nil) || (got[i].GetTableName() == "") != (tt.want == nil) {
			t.Errorf("cookie %#x: owned %v in table %q", tt.cookie, got[i].GetOwned(), got[i].GetTableName())
		}
	}
	first := got[0]
	if want := "cookie=0x1, duration=1.500s, table=0, n_packets=7, n_bytes=420, priority=1000,in_port=3 actions=NORMAL"; first.GetText() != want {
		t.Errorf("text %q\nwant %q", first.GetText(), want)
	}
	if first.GetMatch() != "in_port=3" || first.GetActions() != "NORMAL" || first.GetPackets() != 7 || first.GetBytes() != 420 || first.GetDuration().AsDuration() != 1500*time.Millisecond {
		t.Errorf("%v", first)
	}
	if got := f.dump(t, &v1.DumpFlowsRequest{Host: "xcp1", Bridge: "xenbr0", Table: proto.Uint32(10)}); len(got) != 2 || got[0].GetOrigin() != nil {
		t.Errorf("table 10: %v", got)
	}
	f.live.change(func() { f.live.state[xcp1] = v1.HostState_HOST_STATE_AWAY })
	err = drain(f.DumpFlows(f.ctx, &v1.DumpFlowsRequest{Host: "xcp1", Bridge: "xenbr0"}))
	refusal{code: codes.Unavailable, says: []string{`"xenbr0"`, `"xcp1"`, "not connected"}}.check(t, err)
}

func (f *fixture) dump(t *testing.T, req *v1.DumpFlowsRequest) []*v1.Flow {
	t.Helper()
	s, err := f.DumpFlows(f.ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	var out []*v1.Flow
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.GetBridge() != "xenbr0" || r.GetHostUuid() != xcp1 {
			t.Errorf("read %s of %s", r.GetBridge(), r.GetHostUuid())
		}
		out = append(out, r.GetFlows()...)
	}
}
