package northbound

import (
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// mortal is the address of a leader that dies of the first call.
func mortal(t *testing.T) string {
	t.Helper()
	l := listen(t)
	var g *grpc.Server
	g = grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, call grpc.ServerStream) error {
		go g.Stop()
		<-call.Context().Done()
		return call.Context().Err()
	}))
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return l.Addr().String()
}

// absent is an address that nobody listens at.
func absent(t *testing.T) string {
	t.Helper()
	l := listen(t)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// TestLostLeader: a follower that loses the leader while it asks it says that a change may have been made, and nothing
// of the kind where nothing was sent or nothing is changed.
func TestLostLeader(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		leader        func(*testing.T) string
		unknown, wait bool // what is said: that the outcome is not known, when to come again
		call          func(clients) error
	}{
		"change": {mortal, true, false, func(c clients) error {
			_, err := c.CreatePool(patience(t), &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "paris"}})
			return err
		}},
		"trial": {mortal, false, false, func(c clients) error {
			_, err := c.CreatePool(patience(t), &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "paris"}, ValidateOnly: true})
			return err
		}},
		"read": {mortal, false, false, func(c clients) error {
			_, err := c.ListHosts(patience(t), &v1.ListHostsRequest{})
			return err
		}},
		"change that is not sent": {absent, false, true, func(c clients) error {
			_, err := c.CreatePool(patience(t), &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "paris"}})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca, leader := newAuthority(t), tt.leader(t)
			n1 := startNode(t, ca, "n1", true)
			n2 := startNodeWith(t, ca, raftstore.Config{NodeID: "n2", AskRevision: ca.askRevision}, func(c *Config) {
				c.Peers = reaches(func(string) (*grpc.ClientConn, error) {
					return grpc.NewClient("passthrough:"+leader, grpc.WithTransportCredentials(insecure.NewCredentials()))
				})
			})
			joinPair(t, ca, n1, n2)
			err := tt.call(clientsOf(ca.dial(n2.api, "olga", "pool-operator")))
			var unknown, wait bool
			for _, d := range status.Convert(err).Details() {
				switch d := d.(type) {
				case *errdetails.ErrorInfo:
					unknown = d.GetReason() == reasonUnknownEnd
				case *errdetails.RetryInfo:
					wait = true
				}
			}
			if status.Code(err) != codes.Unavailable || unknown != tt.unknown || wait != tt.wait {
				t.Errorf("%v, %v", err, status.Convert(err).Details())
			}
		})
	}
}
