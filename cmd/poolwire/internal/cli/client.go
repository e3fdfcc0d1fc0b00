package cli

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// defaultSocket is where poolwired listens for root on its own machine.
const defaultSocket = "/run/poolwire/api.sock"

// client is the connection and the services on it.
type client struct {
	conn            *grpc.ClientConn
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
}

// api returns the client, connecting at first use.
func (a *app) api() (*client, error) {
	if a.client != nil {
		return a.client, nil
	}
	target, creds := "unix:"+a.flags.socket, insecure.NewCredentials()
	if a.flags.server != "" {
		cfg, err := pki.LoadClientTLS(a.flags.cert, a.flags.key, a.flags.ca)
		if err != nil {
			return nil, usageError{err}
		}
		target, creds = a.flags.server, credentials.NewTLS(cfg)
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)), grpc.WithUnaryInterceptor(a.intercept))
	if err != nil {
		return nil, usageError{fmt.Errorf("connecting to %s: %w", target, err)}
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
	}
	return a.client, nil
}

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
	bounded, cancel := context.WithTimeout(ctx, a.flags.timeout)
	defer cancel()
	return a.outcome(ctx, bounded, f(bounded, c))
}
