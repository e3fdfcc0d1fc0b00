package northbound

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "poolwire/proto/poolwire/v1"
)

// badReads are questions that have no answer.
func badReads(f *fixture) []badInput {
	invalid := codes.InvalidArgument
	return []badInput{
		{"page size", func() error { _, err := f.ListVifs(f.ctx, &v1.ListVifsRequest{PageSize: 1001}); return err }, refusal{invalid, "page_size", []string{"1001", "1 to 1000"}}, false},
		{"page token", func() error { _, err := f.ListVifs(f.ctx, &v1.ListVifsRequest{PageToken: "garbage!"}); return err }, refusal{invalid, "page_token", []string{`"garbage!"`}}, false},
		{"flow table", func() error {
			return drain(f.DumpFlows(f.ctx, &v1.DumpFlowsRequest{Bridge: "xenbr0", Host: "xcp1", Table: proto.Uint32(254)}))
		},
			refusal{invalid, "table", []string{"254", "0 to 253"}}, false},
		{"flows of unknown bridge", func() error { return drain(f.DumpFlows(f.ctx, &v1.DumpFlowsRequest{Bridge: "xenbr9", Host: "xcp1"})) },
			refusal{codes.NotFound, "bridge", []string{`"xenbr9"`, "xapi1, xenbr0"}}, false},
		{"flows of a common bridge", func() error { return drain(f.DumpFlows(f.ctx, &v1.DumpFlowsRequest{Bridge: "xenbr0"})) },
			refusal{invalid, "bridge", []string{`"xenbr0" is ambiguous: `, "xcp1, xcp2, xcp3", "name the host (host=xcp1)"}}, false},
		{"future revision", func() error { _, err := f.WaitForHosts(f.ctx, &v1.WaitForHostsRequest{Revision: 1 << 40}); return err },
			refusal{invalid, "revision", []string{"1099511627776"}}, false},
		{"long wait", func() error {
			_, err := f.WaitForHosts(f.ctx, &v1.WaitForHostsRequest{Timeout: durationpb.New(time.Hour)})
			return err
		}, refusal{invalid, "timeout", []string{"1h", "10m"}}, false},
		{"watch of nothing", func() error {
			return drain(f.Watch(f.ctx, &v1.WatchRequest{Kinds: []v1.ResourceKind{v1.ResourceKind_RESOURCE_KIND_UNSPECIFIED}}))
		}, refusal{invalid, "kinds[0]", []string{"POOL, HOST, PIF"}}, false},
	}
}

// badNodes are nodes that cannot join or leave.
func badNodes(f *fixture) []badInput {
	invalid := codes.InvalidArgument
	return []badInput{
		{"node", func() error {
			_, err := f.AddNode(f.ctx, &v1.AddNodeRequest{Node: &v1.Node{Id: "a/b", RaftAddress: "x"}})
			return err
		},
			refusal{invalid, "node.id", []string{`"a/b"`}}, false},
		{"last node", func() error { _, err := f.RemoveNode(f.ctx, &v1.RemoveNodeRequest{Id: "n1"}); return err },
			refusal{codes.FailedPrecondition, "", []string{`"n1"`, "last voter"}}, false},
		{"unknown node", func() error { _, err := f.RemoveNode(f.ctx, &v1.RemoveNodeRequest{Id: "n9"}); return err },
			refusal{codes.NotFound, "id", []string{`"n9"`, "known: n1"}}, false},
	}
}
