package northbound

import (
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"poolwire/flowcompiler"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// flowService implements poolwire.v1.FlowService.
type flowService struct {
	v1.UnsafeFlowServiceServer
	*Server
}

const (
	// flowsPerMessage is how many flows go into one part of the answer.
	flowsPerMessage = 500
	// maxTable is the last table a client may ask for. OFPTT_MAX is 254, which
	// Open vSwitch keeps for itself.
	maxTable = 253
)

// DumpFlows reads a bridge's flows from the switch.
func (s *flowService) DumpFlows(req *v1.DumpFlowsRequest, out grpc.ServerStreamingServer[v1.DumpFlowsResponse]) error {
	ctx := out.Context()
	var bad violations
	if req.Table != nil && req.GetTable() > maxTable {
		bad.at("table").refuseNumber(req.GetTable(), "must be 0 to %d, or absent for all tables", maxTable)
	}
	if err := bad.err(); err != nil {
		return err
	}
	v, err := s.read(ctx)
	if err != nil {
		return err
	}
	host, bridge, err := findBridge(v, req.GetHost(), req.GetBridge())
	if err != nil {
		return err
	}
	stats, err := s.cfg.Live.DumpFlows(ctx, host.GetUuid(), bridge.GetName())
	if err != nil {
		if ctx.Err() != nil {
			return statusOf(ctx.Err(), "")
		}
		return status.Errorf(codes.Unavailable, "bridge %q of host %q cannot be read: %v", bridge.GetName(), host.GetNameLabel(), err)
	}
	explain := origins{view: v, host: host.GetUuid(), bridge: bridge.GetName()}
	names := flowcompiler.TableNames()
	part := &v1.DumpFlowsResponse{Bridge: bridge.GetName(), HostUuid: host.GetUuid()}
	sent := false
	for _, st := range stats {
		if req.Table != nil && uint32(st.Table) != req.GetTable() {
			continue
		}
		f := flowMessage(st, names)
		if req.GetExplain() {
			f.Origin = explain.of(st.Cookie)
		}
		part.Flows = append(part.Flows, f)
		if len(part.Flows) == flowsPerMessage {
			if err := out.Send(part); err != nil {
				return err
			}
			part, sent = &v1.DumpFlowsResponse{Bridge: bridge.GetName(), HostUuid: host.GetUuid()}, true
		}
	}
	if len(part.Flows) > 0 || !sent {
		return out.Send(part)
	}
	return nil
}

// flowMessage puts a flow into the API's words.
func flowMessage(st flow.Stats, names map[uint8]string) *v1.Flow {
	f := &v1.Flow{
		Table: uint32(st.Table), Priority: uint32(st.Priority), Cookie: st.Cookie,
		Match: st.Match.String(), Actions: st.Instructions.String(),
		Packets: st.Packets, Bytes: st.Bytes, Duration: durationpb.New(st.Duration),
		Text: strings.TrimSpace(st.String()), Owned: flowcompiler.Own(st.Cookie),
	}
	if f.Owned {
		f.TableName = names[st.Table]
	}
	return f
}
