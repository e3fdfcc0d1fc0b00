package northbound

import (
	"context"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// Store is what the API needs of the replicated store (raftstore.Store).
type Store interface {
	// View is the state as this node knows it.
	View() *raftstore.View
	// ReadView is a state that holds every acknowledged write; leader only.
	ReadView(ctx context.Context) (*raftstore.View, error)
	// CurrentView is ReadView on any node.
	CurrentView(ctx context.Context) (*raftstore.View, error)
	// Look is the state of a node that leads, as far as it knows; Prove proves it. Leader only.
	Look(ctx context.Context) (*raftstore.View, error)
	Prove(ctx context.Context, v *raftstore.View) error
	// ApplyTo writes a command that was planned on a view of Look or ReadView; leader only.
	ApplyTo(ctx context.Context, v *raftstore.View, c *storev1.Command) (raftstore.Result, error)
	// Apply writes a command; leader only.
	Apply(ctx context.Context, c *storev1.Command) (raftstore.Result, error)
	// Simulate applies a command to a copy of the state that nobody else sees, and
	// returns the copy and what the command did to it; leader only.
	Simulate(c *storev1.Command) (*raftstore.View, raftstore.ChangeSet, raftstore.Result, error)
	// Subscribe delivers the change sets after a revision.
	Subscribe(from uint64) (*raftstore.Subscription, error)
	// Backup is the backup file of a state that ReadView gave.
	Backup(v *raftstore.View) ([]byte, error)
	// CheckRestore says what a restore would bring back, or why it cannot be; leader only.
	CheckRestore(v *raftstore.View, id string, parts uint32) (*v1.BackupManifest, error)
	// IsLeader says whether this node leads.
	IsLeader() bool
	// Leader is the id and the API address of the leader, empty when not known.
	Leader() (id, apiAddr string)
	Membership
}

// Membership is what the API needs of the Raft cluster.
type Membership interface {
	// Term is the current Raft term.
	Term() uint64
	// Nodes lists the nodes of the Raft configuration.
	Nodes() ([]*v1.Node, error)
	// AddNode takes a node in as a learner, or changes a member's addresses; leader only.
	AddNode(ctx context.Context, n *v1.Node) (raftstore.Result, error)
	// Promote makes a learner a voter; leader only.
	Promote(ctx context.Context, id string) error
	// TransferLeadership makes another voter lead, the best one when id is empty; leader only.
	TransferLeadership(ctx context.Context, id string) error
	// Health returns the members, how they are doing, and how many voters may be lost.
	Health() ([]*v1.NodeStatus, int, error)
	// SelfStatus returns what this node knows of itself.
	SelfStatus() *v1.NodeStatus
	// RemoveNode takes a node out, and deletes its record; leader only.
	RemoveNode(ctx context.Context, id string) error
}

// Live is what the leader's controller knows of the hosts at this moment. On a
// node that does not lead the answers are empty.
type Live interface {
	// HostStatus is the live status of a host, nil when not known.
	HostStatus(hostUUID string) *v1.HostStatus
	// HostRealization is how far a host has got with the change of a revision.
	HostRealization(hostUUID string, revision uint64) *v1.HostRealization
	// WaitForHosts returns when every connected host has confirmed everything
	// up to a revision, or when ctx ends.
	WaitForHosts(ctx context.Context, revision uint64) *v1.Realization
	// DumpFlows reads all flows of a real bridge from its switch.
	DumpFlows(ctx context.Context, hostUUID, bridge string) ([]flow.Stats, error)
	// Release takes everything of Poolwire's away from a connected host.
	Release(ctx context.Context, hostUUID string) error
	// PrivateNetworkHosts is the state of a private network on its member hosts.
	PrivateNetworkHosts(uuid string) []*v1.PrivateNetworkHostStatus
	// VifWarnings says what keeps a VIF's policy from being kept where it is plugged,
	// and what of its host's report on it is passed over.
	VifWarnings(vifUUID string) []string
	// VifObstacles says why a VIF's policy is not in place although its host has taken
	// everything, by the UUID of the host: it passes nothing. Nothing when all is well.
	VifObstacles(vifUUID string) map[string]string
	// PathWarnings says between which member hosts of a private network packets are lost, or too large.
	PathWarnings(uuid string) []string
	// Preflight says of each host that is a member of a private network in a view what keeps it from taking part.
	Preflight(v *raftstore.View, n *v1.PrivateNetwork) []*v1.PrivateNetworkHostStatus
	// Tunnels lists the tunnels that there are or should be, ordered by the names of their hosts.
	Tunnels() ([]*v1.Tunnel, error)
	// RotateKeys gives pairs of hosts new keys: all, those of one host, or one pair. Hosts are named by UUID, by is who asks. It returns the
	// revision and how many pairs it is about; of a request whose id was seen before those of the first time.
	RotateKeys(ctx context.Context, q *v1.RotateTunnelKeysRequest, by raftstore.Asked) (revision uint64, pairs int, err error)
	// RefusedConnections lists connections turned away, newest first.
	RefusedConnections() []string

	Previewer
	Explainer
	HitReader
	DeniedSource
}
