package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// scopeFlags say which VIFs a rule is for, or which rules are meant.
type scopeFlags struct {
	level, vif, group, network, pool string
	global                           bool
}

func (f *scopeFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.vif, "vif", "", "one VIF, by UUID, name, MAC or HOST/vif1.0")
	p.StringVar(&f.group, "group", "", "the members of this VIF group")
	p.StringVar(&f.network, "network", "", "all VIFs of this network or private network")
	p.StringVar(&f.pool, "pool", "", "all VIFs of this pool; with --network: the pool of the network")
	p.BoolVar(&f.global, "global", false, "all VIFs of all pools")
	p.StringVar(&f.level, "level", "", "global, pool, network, vif-group or vif; follows from the flags above")
}

// scope is a level and the name of what is meant there.
type scope struct {
	level poolwirev1.PolicyLevel
	name  string
	// pool narrows the name of a network; empty for all pools.
	pool string
}

// read checks that the flags name exactly one scope, or none at all.
func (f *scopeFlags) read() (scope, error) {
	var given []scope
	add := func(level poolwirev1.PolicyLevel, set bool, name string) {
		if set {
			given = append(given, scope{level: level, name: name})
		}
	}
	add(poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL, f.global, "")
	add(poolwirev1.PolicyLevel_POLICY_LEVEL_POOL, f.pool != "" && f.network == "", f.pool)
	if f.network != "" {
		given = append(given, scope{level: poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, name: f.network, pool: f.pool})
	}
	add(poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, f.group != "", f.group)
	add(poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, f.vif != "", f.vif)
	var level poolwirev1.PolicyLevel
	if f.level != "" {
		n, err := parseEnum(poolwirev1.PolicyLevel_value, "POLICY_LEVEL_", "--level", f.level)
		if err != nil {
			return scope{}, err
		}
		level = poolwirev1.PolicyLevel(n)
	}
	switch {
	case len(given) > 1:
		return scope{}, usageError{errors.New("--vif, --group, --network, --pool, --global: give one of them (--pool beside --network says which pool the network is of)")}
	case len(given) == 0:
		return scope{level: level}, nil
	case level != 0 && level != given[0].level:
		return scope{}, usageError{fmt.Errorf("--level %q: the other flags say %s", f.level, levelWord(given[0].level))}
	}
	return given[0], nil
}

// required refuses flags that name no scope: a forgotten one must not make a
// rule for everybody.
func (s scope) required() error {
	if s.level == poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL || s.name != "" {
		return nil
	}
	return usageError{errors.New("for whom? Give --vif, --group, --network, --pool or --global")}
}

// hasCompat tells whether rules of XCP-ng's form can be of the scope.
func (s scope) hasCompat() bool {
	switch s.level {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_UNSPECIFIED, poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		return true
	}
	return false
}

// resolve finds the UUID of the scope; a rule for everybody has none.
func (s scope) resolve(ctx context.Context, api *client) (string, error) {
	switch s.level {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
		r, err := api.pools.GetPool(ctx, &poolwirev1.GetPoolRequest{Pool: s.name})
		return r.GetPool().GetUuid(), err
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return api.networkUUID(ctx, s.name, s.pool)
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		r, err := api.vifGroups.GetVifGroup(ctx, &poolwirev1.GetVifGroupRequest{VifGroup: s.name})
		return r.GetVifGroup().GetUuid(), err
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		r, err := api.vifs.GetVif(ctx, &poolwirev1.GetVifRequest{Vif: s.name})
		return r.GetVif().GetUuid(), err
	}
	return "", nil
}

// networkUUID finds a network or a private network. A private network is one
// network, whichever of the bridges that carry it is named.
func (c *client) networkUUID(ctx context.Context, name, pool string) (string, error) {
	n, err := c.networks.GetNetwork(ctx, &poolwirev1.GetNetworkRequest{Network: name, Pool: pool})
	if err == nil {
		if private := n.GetNetwork().GetPrivateNetworkUuid(); private != "" {
			return private, nil
		}
		return n.GetNetwork().GetUuid(), nil
	}
	if pool == "" {
		if p, privateErr := c.privateNetworks.GetPrivateNetwork(ctx, &poolwirev1.GetPrivateNetworkRequest{PrivateNetwork: name}); privateErr == nil {
			return p.GetPrivateNetwork().GetUuid(), nil
		}
	}
	return "", err
}

// Prefixes of what --from, --to and --remote take beside addresses.
const (
	addressGroupPrefix = "group:"
	vifGroupPrefix     = "vif-group:"
	macPrefix          = "mac:"
)

// remoteFields are the fields that say who the other end is.
var remoteFields = []string{"remote_prefixes", "remote_address_group_uuid", "remote_vif_group_uuid", "remote_mac"}

// setRemote puts the other end into a rule. It is one kind of thing: addresses,
// one group, one VIF group or one MAC address; nothing, or "any", is everybody.
func setRemote(ctx context.Context, api *client, flag string, words []string, r *poolwirev1.PolicyRule) error {
	r.RemotePrefixes, r.RemoteAddressGroupUuid, r.RemoteVifGroupUuid, r.RemoteMac = nil, "", "", ""
	for _, w := range words {
		name, isGroup := strings.CutPrefix(w, addressGroupPrefix)
		vifGroup, isVifGroup := strings.CutPrefix(w, vifGroupPrefix)
		mac, isMAC := strings.CutPrefix(w, macPrefix)
		if (isGroup || isVifGroup || isMAC) && len(words) > 1 {
			return usageError{fmt.Errorf("--%s %q: a group or a MAC address stands alone; an address group can hold other groups", flag, w)}
		}
		switch {
		case isGroup:
			g, err := api.addressGroups.GetAddressGroup(ctx, &poolwirev1.GetAddressGroupRequest{AddressGroup: name})
			if err != nil {
				return err
			}
			r.RemoteAddressGroupUuid = g.GetAddressGroup().GetUuid()
		case isVifGroup:
			g, err := api.vifGroups.GetVifGroup(ctx, &poolwirev1.GetVifGroupRequest{VifGroup: vifGroup})
			if err != nil {
				return err
			}
			r.RemoteVifGroupUuid = g.GetVifGroup().GetUuid()
		case isMAC:
			r.RemoteMac = mac
		case w != "" && (w != "any" || len(words) > 1):
			r.RemotePrefixes = append(r.RemotePrefixes, w)
		}
	}
	return nil
}
