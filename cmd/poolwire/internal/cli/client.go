package cli

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	poolwire "poolwire/client"
	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// defaultSocket is where poolwired listens for root on its own machine.
const defaultSocket = "/run/poolwire/api.sock"

// client is the connection and the services on it.
type client struct {
	conn            *poolwire.Client
	pools           poolwirev1.PoolServiceClient
	hosts           poolwirev1.HostServiceClient
	pifs            poolwirev1.PifServiceClient
	networks        poolwirev1.NetworkServiceClient
	privateNetworks poolwirev1.PrivateNetworkServiceClient
	tunnels         poolwirev1.TunnelServiceClient
	adoption        poolwirev1.AdoptionServiceClient
	vifs            poolwirev1.VifServiceClient
	rules           poolwirev1.RuleServiceClient
	flows           poolwirev1.FlowServiceClient
	cluster         poolwirev1.ClusterServiceClient
	watch           poolwirev1.WatchServiceClient
	policy          poolwirev1.PolicyServiceClient
	addressGroups   poolwirev1.AddressGroupServiceClient
	vifGroups       poolwirev1.VifGroupServiceClient
	changes         poolwirev1.ChangeServiceClient
	backup          poolwirev1.BackupServiceClient
	audit           poolwirev1.AuditServiceClient
	access          poolwirev1.AccessServiceClient
	tokens          poolwirev1.TokenServiceClient
	pki             poolwirev1.PkiServiceClient
}

// api returns the client, connecting at first use.
func (a *app) api() (*client, error) {
	if a.client != nil {
		return a.client, nil
	}
	cfg := poolwire.Config{
		Endpoints: []string{"unix:" + a.flags.socket}, MaxReply: maxReply, Rounds: rounds,
		Options: []grpc.DialOption{grpc.WithUnaryInterceptor(a.intercept)},
	}
	var err error
	if cfg.Token, err = a.flags.token(); err != nil {
		return nil, err
	}
	if a.flags.server != "" {
		if a.flags.cert == "" {
			cfg.TLS, err = pki.ClientTLS(a.flags.ca)
		} else {
			cfg.TLS, err = pki.LoadClientTLS(a.flags.cert, a.flags.key, a.flags.ca)
		}
		if err != nil {
			return nil, usageError{a.flags.ofFile(err)}
		}
		cfg.Endpoints = strings.Split(a.flags.server, ",")
	}
	conn, err := poolwire.New(cfg)
	if err != nil {
		return nil, usageError{err}
	}
	a.client = &client{
		conn: conn, pools: poolwirev1.NewPoolServiceClient(conn), hosts: poolwirev1.NewHostServiceClient(conn),
		pifs: poolwirev1.NewPifServiceClient(conn), networks: poolwirev1.NewNetworkServiceClient(conn),
		privateNetworks: poolwirev1.NewPrivateNetworkServiceClient(conn), tunnels: poolwirev1.NewTunnelServiceClient(conn),
		adoption: poolwirev1.NewAdoptionServiceClient(conn), vifs: poolwirev1.NewVifServiceClient(conn),
		rules: poolwirev1.NewRuleServiceClient(conn), flows: poolwirev1.NewFlowServiceClient(conn),
		cluster: poolwirev1.NewClusterServiceClient(conn), watch: poolwirev1.NewWatchServiceClient(conn),
		policy: poolwirev1.NewPolicyServiceClient(conn), addressGroups: poolwirev1.NewAddressGroupServiceClient(conn),
		vifGroups: poolwirev1.NewVifGroupServiceClient(conn), changes: poolwirev1.NewChangeServiceClient(conn),
		backup: poolwirev1.NewBackupServiceClient(conn), audit: poolwirev1.NewAuditServiceClient(conn), access: poolwirev1.NewAccessServiceClient(conn), tokens: poolwirev1.NewTokenServiceClient(conn),
		pki: poolwirev1.NewPkiServiceClient(conn),
	}
	return a.client, nil
}

// rounds is how often all servers are asked before a command says that none answers.
const rounds = 3

// maxReply bounds one message from the server, in bytes.
const maxReply = 16 << 20

func (a *app) close() {
	if a.client != nil {
		_ = a.client.conn.Close()
	}
}

// call runs f with the API and the command's deadline.
func (a *app) call(ctx context.Context, f func(context.Context, *client) error) error {
	c, err := a.api()
	if err != nil {
		return err
	}
	if a.flags.stale {
		ctx = metadata.AppendToOutgoingContext(ctx, "poolwire-consistency", "stale")
	}
	bounded, cancel := context.WithTimeout(ctx, a.flags.timeout)
	defer cancel()
	return a.outcome(ctx, bounded, f(bounded, c))
}
