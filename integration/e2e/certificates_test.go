package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	tlscredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"poolwire/integration/lab"
	"poolwire/integration/scenario"
	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// newMixed makes a pair whose first host is dialled and whose second one dials.
func newMixed(t *testing.T, name string, flags ...string) *pair {
	t.Helper()
	p := &pair{World: newWorld(t, name, flags...)}
	p.do(t, "pool", "create", "paris")
	p.h1 = p.join(t, "passive")
	h, err := p.Join(within(t, time.Minute), "paris", true, lab.HostOptions{Name: "active"})
	if err != nil {
		t.Fatal(err)
	}
	p.h2 = h
	p.a, p.b = p.vm(t, p.h1, "a", 1), p.vm(t, p.h2, "b", 2)
	if err := p.a.Ping(within(t, time.Minute), p.b.IPv4()); err != nil {
		t.Fatal(err)
	}
	return p
}

// ready waits until a host has everything.
func (p *pair) ready(t *testing.T, h *lab.Host) {
	t.Helper()
	if err := p.AwaitHost(within(t, 30*time.Second), h.ShortName); err != nil {
		t.Fatal(err)
	}
}

// datapathID is that of a host's bridge.
func datapathID(t *testing.T, h *lab.Host, bridge string) string {
	t.Helper()
	return strings.Trim(strings.TrimSpace(vsctl(t, h, "get", "Bridge", bridge, "datapath_id")), `"`)
}

// A host with a good certificate of its own presents what is another's: its system-id, the datapath id of its bridge on
// both OpenFlow ports, and an address where the other is expected. It is refused by name each time, and the other, whose
// VM pings all the while, loses nothing.
func TestHostIsNobodyElse(t *testing.T) {
	t.Parallel()
	p := newMixed(t, "impostor")
	// Nobody waits for the thief itself: it is registered as one that dials, and never does under its own name.
	thief, err := p.Lab.AddHost(within(t, time.Minute), lab.HostOptions{Name: "thief"})
	if err != nil {
		t.Fatal(err)
	}
	p.do(t, "host", "add", "thief", "--pool", "paris", "--mode", "active", "--system-id", thief.UUID, "--wait", "none")
	p.do(t, "host", "certificate", "thief", "--dir", filepath.Join(thief.Dir, "pki"))
	if err := p.RestoreTLS(within(t, time.Minute), thief); err != nil {
		t.Fatal(err)
	}
	victimUUID := p.h2.UUID
	thiefURI := "poolwire://host/" + p.hostUUID(t, "thief")
	ping, err := p.a.StartPing(within(t, 3*time.Minute), p.b.IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	addr := p.Lab.ControllerAddr().String()
	stolen := datapathID(t, p.h2, "xenbr0")
	// OpenFlow and port flags.
	for _, port := range []string{"6653", "6654"} {
		told := p.refusedOnce(t, thief, thiefURI)
		vsctl(t, thief, "set", "Bridge", "xenbr0", "other_config:datapath-id="+stolen, "--", "set-controller", "xenbr0", "ssl:"+addr+":"+port)
		eventually(t, told)
	}
	vsctl(t, thief, "del-controller", "xenbr0")
	// OVSDB, where the host dials.
	told := p.refusedOnce(t, thief, thiefURI)
	vsctl(t, thief, "set", "Open_vSwitch", ".", "external_ids:system-id="+victimUUID)
	vsctl(t, thief, "set-manager", "ssl:"+addr+":6640")
	eventually(t, told)
	// OVSDB, where it is dialled: the other is expected at the thief's address.
	vsctl(t, thief, "set-manager", "pssl:6640")
	p.do(t, "host", "add", "ghost", "--pool", "paris", "--address", thief.Addr.String(), "--wait", "none")
	eventually(t, p.shows("names somebody else", "host", "show", "ghost"))

	p.ready(t, p.h2)
	p.do(t, "add-rule", "bridge=xenbr0", "direction=to", "protocol=tcp", "port=1", "ipRange=10.66.0.0/24", "allow=false", "--wait", "none")
	p.settledHosts(t, p.h1, p.h2)
	r, err := ping.Stop(within(t, time.Minute))
	if err != nil || r.Lost() > 0 {
		t.Errorf("%d of %d pings were lost meanwhile, %v", r.Lost(), r.Sent, err)
	}
}

// settledHosts waits until these hosts have confirmed everything.
func (p *pair) settledHosts(t *testing.T, hosts ...*lab.Host) {
	t.Helper()
	for _, h := range hosts {
		p.ready(t, h)
	}
}

// hostUUID is the UUID of a host.
func (p *pair) hostUUID(t *testing.T, name string) string {
	t.Helper()
	api, err := p.Conn()
	if err != nil {
		t.Fatal(err)
	}
	r, err := poolwirev1.NewHostServiceClient(api).GetHost(within(t, 20*time.Second), &poolwirev1.GetHostRequest{Host: name})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetHost().GetUuid()
}

// refusedOnce looks for a refused connection of a host that is later than this moment and says whose certificate it was.
func (p *pair) refusedOnce(t *testing.T, by *lab.Host, uri string) func(context.Context) error {
	t.Helper()
	api, err := p.API()
	if err != nil {
		t.Fatal(err)
	}
	lines := func(ctx context.Context) (mine []string, err error) {
		r, err := api.GetClusterStatus(ctx, &poolwirev1.GetClusterStatusRequest{})
		for _, line := range r.GetRefusedConnections() {
			if strings.Contains(line, by.Addr.String()+":") && strings.Contains(line, "names somebody else") && strings.Contains(line, uri) {
				mine = append(mine, line)
			}
		}
		return mine, err
	}
	before, err := lines(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) error {
		now, err := lines(ctx)
		if err != nil {
			return err
		}
		for _, line := range now {
			if !slices.Contains(before, line) {
				return nil
			}
		}
		return fmt.Errorf("no refused connection of %s besides %q", by.ShortName, before)
	}
}

// What is revoked ends at once, on whichever node it is in use: a stream of the API that a follower serves, a host that is
// dialled, one that dials, and a node. Whoever gets another certificate comes back. VMs notice nothing.
func TestRevokedEverywhere(t *testing.T) {
	t.Parallel()
	p := newMixed(t, "revoked", scenario.ClusterFlags(scenario.FirstController)...)
	p.cluster(t)
	p.settledHosts(t, p.h1, p.h2)
	ping, err := p.a.StartPing(within(t, 5*time.Minute), p.b.IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p.revokeClient(t)
	for _, h := range []*lab.Host{p.h1, p.h2} {
		p.do(t, "pki", "revoke", "--kind", "host", "--name", h.ShortName, "--reason", "stolen")
		eventually(t, p.shows("stolen", "host", "show", h.ShortName))
		dir := filepath.Join(h.Dir, "again")
		p.do(t, "pki", "issue", "host", h.ShortName, "--dir", dir)
		if err := h.SetTLS(within(t, 20*time.Second), lab.TLS{Key: filepath.Join(dir, "key.pem"), Cert: filepath.Join(dir, "cert.pem"), CA: filepath.Join(dir, "ca.pem")}); err != nil {
			t.Fatal(err)
		}
		p.ready(t, h)
	}
	p.do(t, "pki", "revoke", "--kind", "node", "--name", "n3", "--force")
	eventually(t, func(ctx context.Context) error {
		api, err := p.API()
		if err != nil {
			return err
		}
		r, err := api.ListNodes(ctx, &poolwirev1.ListNodesRequest{})
		for _, n := range r.GetNodes() {
			if n.GetNode().GetId() == "n3" && n.GetHealthy() {
				return errors.Join(err, errors.New("n3 goes on as a member"))
			}
		}
		return err
	})
	r, err := ping.Stop(within(t, time.Minute))
	if err != nil || r.Lost() > 0 {
		t.Errorf("%d of %d pings were lost, %v", r.Lost(), r.Sent, err)
	}
}

// revokeClient revokes the certificate of a client that watches, and has made a token, through a follower.
func (p *pair) revokeClient(t *testing.T) {
	t.Helper()
	dir := filepath.Join(p.Lab.Dir(), "eve")
	p.do(t, "pki", "issue", "client", "eve", "--role", "read-only", "--dir", dir)
	if out, err := p.Poolwire(within(t, 20*time.Second), "pki", "issue", "client", "eve", "--dir", dir); err == nil {
		t.Errorf("files were replaced: %s", out)
	}
	config, err := pki.LoadClientTLS(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"), filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:"+p.ControllerAddr("n2")+":6700", grpc.WithTransportCredentials(tlscredentials.NewTLS(config)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return p.Lab.Controller().Dial(ctx, "tcp", address)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	stream, err := poolwirev1.NewWatchServiceClient(conn).Watch(within(t, time.Minute), &poolwirev1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	token, err := poolwirev1.NewTokenServiceClient(conn).CreateToken(within(t, 20*time.Second), &poolwirev1.CreateTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	id := token.GetToken().GetId()
	if before := p.do(t, "token", "list"); !strings.Contains(before, id) {
		t.Errorf("no token %s in\n%s", id, before)
	}
	p.do(t, "pki", "revoke", "--kind", "client", "--name", "eve")
	if left := p.do(t, "token", "list"); strings.Contains(left, id) {
		t.Errorf("the token is good still:\n%s", left)
	}
	for err = nil; err == nil; {
		_, err = stream.Recv()
	}
	if code := status.Code(err); errors.Is(err, io.EOF) || code != codes.Unavailable {
		t.Errorf("the stream ends with %v", err)
	}
	_, err = poolwirev1.NewPoolServiceClient(conn).ListPools(within(t, 20*time.Second), &poolwirev1.ListPoolsRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a call after that: %v", err)
	}
}
