package northbound

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// TestIssuerIsWhoHasTheKey: the node with the CA's key issues, whoever leads; where neither the node that is asked
// nor the leader has it, that is said.
func TestIssuerIsWhoHasTheKey(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader := startNodeWith(t, ca, raftstore.Config{NodeID: "n1", Bootstrap: true}, func(c *Config) { c.HasCAKey = false })
	holder := startNodeWith(t, ca, raftstore.Config{NodeID: "n2", AskRevision: ca.askRevision}, func(c *Config) {
		c.IssueHost = func(uuid, _ string) (HostCertificate, error) {
			return HostCertificate{}, errors.New("asked for " + uuid)
		}
	})
	joinPair(t, ca, leader, holder)
	f := &fixture{t: t, ctx: patience(t), store: leader.store, live: leader.live}
	f.populate()
	req := &v1.IssueHostCertificateRequest{Host: "xcp1"}
	_, err := clientsOf(ca.dial(holder.api, "ada", "pool-admin")).IssueHostCertificate(f.ctx, req)
	refusal{code: codes.Internal, says: []string{"asked for " + xcp1}}.check(t, err)
	_, err = clientsOf(ca.dial(leader.api, "ada", "pool-admin")).IssueHostCertificate(f.ctx, req)
	refusal{code: codes.FailedPrecondition, says: []string{"n1", "ca.key"}}.check(t, err)
}
