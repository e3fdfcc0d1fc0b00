package northbound

import (
	"context"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// Previewer says what a change would do. It touches nothing.
type Previewer interface {
	// Preview compares the flows that two states lead to. changes are the
	// differences between them.
	Preview(ctx context.Context, before, after *raftstore.View, changes raftstore.ChangeSet) (*v1.Preview, error)
	// PreviewSessions judges live sessions of a host under two states: lines of
	// `ovs-appctl dpctl/dump-conntrack`. Lines that are no session of a VIF are
	// left out, and counted.
	PreviewSessions(ctx context.Context, before, after *raftstore.View, hostUUID string, lines []string) ([]*v1.SessionVerdict, *v1.SessionCounts, error)
}

// Explainer follows a packet through the compiled tables.
type Explainer interface {
	// Explain answers a request in which everything is resolved: vif is the UUID
	// of a VIF that is plugged; direction is INBOUND or OUTBOUND; remote is the
	// UUID of a VIF, an IP address or a MAC address, or empty for any station;
	// protocol is "tcp", "udp", "icmp", "icmpv6", "arp", "sctp" or a number; port,
	// source_port, icmp_type and icmp_code are set where the protocol has them;
	// local_address and remote_address are IP addresses or empty, source_mac a MAC
	// address or empty.
	Explain(ctx context.Context, v *raftstore.View, q *v1.ExplainRequest) (*v1.ExplainResponse, error)
}

// HitReader counts what rules have matched.
type HitReader interface {
	// RuleHits counts by the rules' object ids. missing names the switches that
	// could not be asked, with the reason; of these hits has the last counts.
	RuleHits(ctx context.Context, objectIDs []uint32) (hits map[uint32][]*v1.HostHits, missing []string, err error)
}

// DeniedSource samples denied packets.
type DeniedSource interface {
	// WatchDenied returns samples until ctx ends or this node no longer leads:
	// the channel is then closed. rule_text is empty. A reader that is too slow
	// loses samples.
	WatchDenied(ctx context.Context) (<-chan *v1.WatchDeniedResponse, error)
}
