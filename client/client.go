package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Config says which cluster to talk to.
type Config struct {
	// Endpoints are the API addresses of nodes, HOST:PORT, or "unix:PATH" for the socket of
	// a node on this machine. At least one; those left out are never asked.
	Endpoints []string
	// TLS is for the endpoints with an address; sockets go without. Required for those.
	TLS *tls.Config
	// Token is a bearer token that goes with every call, over TLS or a socket; empty for none. It says who calls, whatever
	// certificate TLS has.
	Token string
	// Attempt bounds the time that one node gets for a call that says nothing of waiting;
	// default 5 s. The next node is asked after it.
	Attempt time.Duration
	// Rounds is how often a call asks all nodes, when none can answer; default: until the
	// call's deadline, and three times without one.
	Rounds int
	// MaxReply bounds one message from a node, in bytes; default 16 MiB.
	MaxReply int
	// Options are further options of the connections.
	Options []grpc.DialOption
}

const (
	defaultAttempt  = 5 * time.Second
	defaultMaxReply = 16 << 20
	// maxEndpoints bounds the nodes of a cluster that one client knows.
	maxEndpoints = 32
	// A node that is cut off while a call waits for it is noticed after these. Servers
	// take a ping every 10 s, no more.
	pingEvery  = 10 * time.Second
	pingAnswer = 3 * time.Second
	// A node that is gone is looked for after the first pause, then after longer ones up to
	// the last. gRPC's own grow to two minutes: a client would miss for that long that the
	// cluster is back.
	firstLook   = 100 * time.Millisecond
	lastLook    = 2 * time.Second
	connectTime = 5 * time.Second
)

// Client is connections to the nodes of a cluster. All methods may be called from any
// goroutine.
type Client struct {
	cfg   Config
	conns []*grpc.ClientConn
	// preferred is the index of the node that answered last.
	preferred atomic.Int64
	newID     func() string
}

// New returns a client. It connects at the first call.
//
// Errors: an endpoint that is no address, none or more than 32 of them, addresses without TLS.
func New(cfg Config) (*Client, error) {
	if cfg.Attempt <= 0 {
		cfg.Attempt = defaultAttempt
	}
	if cfg.MaxReply <= 0 {
		cfg.MaxReply = defaultMaxReply
	}
	if n := len(cfg.Endpoints); n == 0 || n > maxEndpoints {
		return nil, fmt.Errorf("client: %d endpoints, want 1 to %d", n, maxEndpoints)
	}
	cfg.Endpoints = slices.Clone(cfg.Endpoints)
	c := &Client{cfg: cfg, newID: uuid.NewString}
	for _, endpoint := range cfg.Endpoints {
		conn, err := c.connect(endpoint)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("client: endpoint %q: %w", endpoint, err), c.Close())
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

func (c *Client) connect(endpoint string) (*grpc.ClientConn, error) {
	creds, local := insecure.NewCredentials(), strings.HasPrefix(endpoint, "unix:")
	if !local {
		if c.cfg.TLS == nil {
			return nil, errors.New("an address needs TLS")
		}
		creds = judged{credentials.NewTLS(c.cfg.TLS)}
	}
	looks := backoff.DefaultConfig
	looks.BaseDelay, looks.MaxDelay = firstLook, lastLook
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: looks, MinConnectTimeout: connectTime}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingAnswer}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(c.cfg.MaxReply)),
	}, c.cfg.Options...)
	if c.cfg.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer{token: c.cfg.Token, secured: !local}))
	}
	return grpc.NewClient(endpoint, options...)
}

// Close ends all connections, and with them the calls under way.
func (c *Client) Close() error {
	var errs []error
	for _, conn := range c.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// Connected says whether there is a connection to the node that answered last.
func (c *Client) Connected() bool {
	return c.conns[c.preferred.Load()].GetState() == connectivity.Ready
}

// Endpoint returns the endpoint of the node that answered last.
func (c *Client) Endpoint() string { return c.cfg.Endpoints[c.preferred.Load()] }
