package cli

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// allowedFlags are what a locked VIF may send from.
type allowedFlags struct{ ipv4, ipv6, pairs, routers []string }

func (f *allowedFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringSliceVar(&f.ipv4, "ipv4", nil, "IPv4 addresses or prefixes the VIF may send from, separated by commas")
	p.StringSliceVar(&f.ipv6, "ipv6", nil, "the same for IPv6")
	p.StringSliceVar(&f.pairs, "pair", nil, "more addresses it may send from, as ADDRESS or MAC=ADDRESS, separated by commas; several VIFs may share one")
	p.StringArrayVar(&f.routers, "virtual-router", nil, "VRRP or CARP router it takes part in, as VRID=ADDRESS[,ADDRESS...]; may be repeated")
}

func (f *allowedFlags) apply(c *cobra.Command, v *poolwirev1.Vif) (mask []string, err error) {
	if c.Flags().Changed("ipv4") {
		v.Ipv4Allowed, mask = f.ipv4, append(mask, "ipv4_allowed")
	}
	if c.Flags().Changed("ipv6") {
		v.Ipv6Allowed, mask = f.ipv6, append(mask, "ipv6_allowed")
	}
	if c.Flags().Changed("pair") {
		v.AllowedAddressPairs, mask = nil, append(mask, "allowed_address_pairs")
		for _, word := range f.pairs {
			mac, address, ok := strings.Cut(word, "=")
			if !ok {
				mac, address = "", word
			}
			v.AllowedAddressPairs = append(v.AllowedAddressPairs, &poolwirev1.AddressPair{Mac: mac, Address: address})
		}
	}
	if c.Flags().Changed("virtual-router") {
		mask = append(mask, "virtual_routers")
		if v.VirtualRouters, err = parseRouters(f.routers); err != nil {
			return nil, err
		}
	}
	return mask, nil
}

// parseRouters parses VRID=ADDRESS,ADDRESS. Nothing empties the list.
func parseRouters(words []string) ([]*poolwirev1.VirtualRouter, error) {
	var out []*poolwirev1.VirtualRouter
	for _, word := range words {
		if word == "" {
			continue
		}
		id, addresses, ok := strings.Cut(word, "=")
		vrid, err := strconv.ParseUint(id, 10, 8)
		if err != nil || !ok || vrid == 0 || addresses == "" {
			return nil, usageError{fmt.Errorf("--virtual-router %q: use VRID=ADDRESS[,ADDRESS...] with a VRID from 1 to 255, like 51=192.0.2.100", word)}
		}
		out = append(out, &poolwirev1.VirtualRouter{Vrid: uint32(vrid), Addresses: strings.Split(addresses, ",")})
	}
	return out, nil
}

// vifFlags are the other fields a user sets on a VIF.
type vifFlags struct {
	allowed              allowedFlags
	name                 string
	labels               []string
	unlabel, trunks      []string
	isolation, community string
	limits               limitFlags
	router, dhcp         bool
	hosts                []string
}

func (f *vifFlags) register(c *cobra.Command) {
	f.allowed.register(c)
	p := c.Flags()
	p.StringVar(&f.name, "name", "", "new name")
	p.StringSliceVar(&f.labels, "label", nil, "set labels for selectors of VIF groups, as KEY=VALUE, separated by commas")
	p.StringSliceVar(&f.unlabel, "unlabel", nil, "take labels away, by key")
	p.StringSliceVar(&f.trunks, "trunk", nil, "802.1Q tags the VM may use, single or ranges like 100-109, separated by commas")
	p.StringVar(&f.isolation, "isolation", "", "part in a private VLAN: promiscuous, isolated or community")
	p.StringVar(&f.community, "community", "", "name of the community; implies --isolation community")
	f.limits.register(c)
	p.StringSliceVar(&f.hosts, "hosts", nil, "the only hosts, or pools for all of their hosts, where the VIF may be plugged, separated by commas; \"\" for anywhere")
	p.BoolVar(&f.router, "allow-ra", false, "the VM may send router advertisements, although it is locked or guarded")
	p.BoolVar(&f.dhcp, "allow-dhcp-server", false, "the VM may answer as a DHCP server, although it is locked or guarded")
}

func (f *vifFlags) apply(c *cobra.Command, v *poolwirev1.Vif) ([]string, error) {
	mask, err := f.allowed.apply(c, v)
	if err != nil {
		return nil, err
	}
	if c.Flags().Changed("name") {
		v.NameLabel, mask = f.name, append(mask, "name_label")
	}
	if c.Flags().Changed("hosts") {
		v.AllowedHosts, mask = f.hosts, append(mask, "allowed_hosts")
	}
	if c.Flags().Changed("allow-ra") {
		v.AllowRouterAdvertisements, mask = f.router, append(mask, "allow_router_advertisements")
	}
	if c.Flags().Changed("allow-dhcp-server") {
		v.AllowDhcpServer, mask = f.dhcp, append(mask, "allow_dhcp_server")
	}
	if c.Flags().Changed("trunk") {
		mask = append(mask, "trunks")
		if v.Trunks, err = parseTags("--trunk", f.trunks); err != nil {
			return nil, err
		}
	}
	for _, step := range []func(*cobra.Command, *poolwirev1.Vif) ([]string, error){f.applyLabels, f.applyIsolation, f.limits.apply} {
		more, err := step(c, v)
		if err != nil {
			return nil, err
		}
		mask = append(mask, more...)
	}
	return mask, nil
}

// applyLabels changes single labels; the others stay.
func (f *vifFlags) applyLabels(c *cobra.Command, v *poolwirev1.Vif) ([]string, error) {
	if !c.Flags().Changed("label") && !c.Flags().Changed("unlabel") {
		return nil, nil
	}
	labels := map[string]string{}
	maps.Copy(labels, v.GetLabels())
	for _, key := range f.unlabel {
		delete(labels, key)
	}
	for _, word := range f.labels {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, usageError{fmt.Errorf("--label %q: use KEY=VALUE; --unlabel takes a label away", word)}
		}
		labels[key] = value
	}
	v.Labels = labels
	return []string{"labels"}, nil
}

func (f *vifFlags) applyIsolation(c *cobra.Command, v *poolwirev1.Vif) ([]string, error) {
	word := f.isolation
	switch {
	case !c.Flags().Changed("isolation") && !c.Flags().Changed("community"):
		return nil, nil
	case !c.Flags().Changed("isolation"):
		word = "community"
	case f.community != "" && word != "community":
		return nil, usageError{fmt.Errorf("--community %q: not with --isolation %s", f.community, word)}
	case word == "community" && f.community == "" && v.GetCommunity() == "":
		return nil, usageError{errors.New("--isolation community: which one? Give --community NAME")}
	}
	n, err := parseEnum(poolwirev1.Isolation_value, "ISOLATION_", "--isolation", word)
	if err != nil {
		return nil, err
	}
	v.Isolation = poolwirev1.Isolation(n)
	switch {
	case v.GetIsolation() != poolwirev1.Isolation_ISOLATION_COMMUNITY:
		v.Community = ""
	case f.community != "":
		v.Community = f.community
	}
	return []string{"isolation", "community"}, nil
}
