package cli

import (
	"context"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// pageSize is how many resources one call asks for: the most the server gives.
const pageSize = 1000

// listPage is one page of any list.
type listPage interface {
	GetNextPageToken() string
	GetRevision() uint64
}

// collect fetches all pages of a list. The revision is that of the last page:
// whatever changed up to then may be missing from the pages before it.
func collect[P listPage, T any](fetch func(token string) (P, error), items func(P) []T) (all []T, revision uint64, err error) {
	token := ""
	for {
		page, err := fetch(token)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, items(page)...)
		if token = page.GetNextPageToken(); token == "" {
			return all, page.GetRevision(), nil
		}
	}
}

func (c *client) listPools(ctx context.Context) ([]*poolwirev1.Pool, uint64, error) {
	return collect(func(token string) (*poolwirev1.ListPoolsResponse, error) {
		return c.pools.ListPools(ctx, &poolwirev1.ListPoolsRequest{PageSize: pageSize, PageToken: token})
	}, (*poolwirev1.ListPoolsResponse).GetPools)
}

// listHosts lists the hosts of a pool; all when it is empty.
func (c *client) listHosts(ctx context.Context, pool string) ([]*poolwirev1.Host, uint64, error) {
	return collect(func(token string) (*poolwirev1.ListHostsResponse, error) {
		return c.hosts.ListHosts(ctx, &poolwirev1.ListHostsRequest{Pool: pool, PageSize: pageSize, PageToken: token})
	}, (*poolwirev1.ListHostsResponse).GetHosts)
}

// listPifs lists the PIFs of a host; all when it is empty.
func (c *client) listPifs(ctx context.Context, host string) ([]*poolwirev1.Pif, uint64, error) {
	return collect(func(token string) (*poolwirev1.ListPifsResponse, error) {
		return c.pifs.ListPifs(ctx, &poolwirev1.ListPifsRequest{Host: host, PageSize: pageSize, PageToken: token})
	}, (*poolwirev1.ListPifsResponse).GetPifs)
}

// listTunnels lists the tunnels of a host and a private network, where they are named.
func (c *client) listTunnels(ctx context.Context, q *poolwirev1.ListTunnelsRequest) ([]*poolwirev1.Tunnel, error) {
	q.PageSize = pageSize
	var all []*poolwirev1.Tunnel
	for {
		page, err := c.tunnels.ListTunnels(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetTunnels()...)
		if q.PageToken = page.GetNextPageToken(); q.PageToken == "" {
			return all, nil
		}
	}
}

// listNetworks lists the networks of a pool; all when it is empty.
func (c *client) listNetworks(ctx context.Context, pool string) ([]*poolwirev1.Network, uint64, error) {
	return collect(func(token string) (*poolwirev1.ListNetworksResponse, error) {
		return c.networks.ListNetworks(ctx, &poolwirev1.ListNetworksRequest{Pool: pool, PageSize: pageSize, PageToken: token})
	}, (*poolwirev1.ListNetworksResponse).GetNetworks)
}

func (c *client) listPrivateNetworks(ctx context.Context) ([]*poolwirev1.PrivateNetwork, uint64, error) {
	return collect(func(token string) (*poolwirev1.ListPrivateNetworksResponse, error) {
		return c.privateNetworks.ListPrivateNetworks(ctx, &poolwirev1.ListPrivateNetworksRequest{PageSize: pageSize, PageToken: token})
	}, (*poolwirev1.ListPrivateNetworksResponse).GetPrivateNetworks)
}

// listVifs lists the VIFs that pass the filters of a request; its page fields
// are overwritten.
func (c *client) listVifs(ctx context.Context, filter *poolwirev1.ListVifsRequest) ([]*poolwirev1.Vif, uint64, error) {
	return collect(func(token string) (*poolwirev1.ListVifsResponse, error) {
		filter.PageSize, filter.PageToken = pageSize, token
		return c.vifs.ListVifs(ctx, filter)
	}, (*poolwirev1.ListVifsResponse).GetVifs)
}

// listRules is listVifs for rules.
func (c *client) listRules(ctx context.Context, filter *poolwirev1.ListRulesRequest) ([]*poolwirev1.Rule, uint64, error) {
	return collect(func(token string) (*poolwirev1.ListRulesResponse, error) {
		filter.PageSize, filter.PageToken = pageSize, token
		return c.rules.ListRules(ctx, filter)
	}, (*poolwirev1.ListRulesResponse).GetRules)
}

// listPolicyRules is listVifs for rules of the hierarchy.
func (c *client) listPolicyRules(ctx context.Context, filter *poolwirev1.ListPolicyRulesRequest) ([]*poolwirev1.PolicyRule, uint64, error) {
	return collect(func(token string) (*poolwirev1.ListPolicyRulesResponse, error) {
		filter.PageSize, filter.PageToken = pageSize, token
		return c.policy.ListPolicyRules(ctx, filter)
	}, (*poolwirev1.ListPolicyRulesResponse).GetPolicyRules)
}

func (c *client) listAddressGroups(ctx context.Context) ([]*poolwirev1.AddressGroup, uint64, error) {
	return collect(func(token string) (*poolwirev1.ListAddressGroupsResponse, error) {
		return c.addressGroups.ListAddressGroups(ctx, &poolwirev1.ListAddressGroupsRequest{PageSize: pageSize, PageToken: token})
	}, (*poolwirev1.ListAddressGroupsResponse).GetAddressGroups)
}

// listVifGroups lists the groups a VIF is a member of; all when it is empty.
func (c *client) listVifGroups(ctx context.Context, vif string) ([]*poolwirev1.VifGroup, uint64, error) {
	return collect(func(token string) (*poolwirev1.ListVifGroupsResponse, error) {
		return c.vifGroups.ListVifGroups(ctx, &poolwirev1.ListVifGroupsRequest{Vif: vif, PageSize: pageSize, PageToken: token})
	}, (*poolwirev1.ListVifGroupsResponse).GetVifGroups)
}
