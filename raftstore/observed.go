package raftstore

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Bridges returns the bridges of a host, fake ones included, ordered by name.
func (v *View) Bridges(hostUUID string) []*storev1.Bridge {
	return list[*storev1.Bridge](v, TableBridges, indexHost, indexKey(hostUUID))
}

// Bridge returns a bridge of a host by name.
func (v *View) Bridge(hostUUID, name string) *storev1.Bridge {
	return get[*storev1.Bridge](v, TableBridges, hostKey(hostUUID, name))
}

// BridgesByName returns the bridges of a name over all hosts.
func (v *View) BridgesByName(name string) []*storev1.Bridge {
	return list[*storev1.Bridge](v, TableBridges, indexName, indexKey(name))
}

// Ports returns the interfaces of a host, ordered by name.
func (v *View) Ports(hostUUID string) []*storev1.Port {
	return list[*storev1.Port](v, TablePorts, indexHost, indexKey(hostUUID))
}

// Port returns an interface of a host by name.
func (v *View) Port(hostUUID, name string) *storev1.Port {
	return get[*storev1.Port](v, TablePorts, hostKey(hostUUID, name))
}

// PortsByVif returns the interfaces of a VIF over all hosts.
func (v *View) PortsByVif(vifUUID string) []*storev1.Port {
	return list[*storev1.Port](v, TablePorts, indexVif, indexKey(vifUUID))
}

// PortsByAdoptable returns the tunnels that somebody else has made for a private network, over all hosts.
func (v *View) PortsByAdoptable(uuid string) []*storev1.Port {
	return list[*storev1.Port](v, TablePorts, indexAdoptable, indexKey(uuid))
}

// AdoptableUUIDs lists the private networks of others that tunnels on the hosts tell of, sorted.
func (v *View) AdoptableUUIDs() []string {
	seen := map[string]bool{}
	for r := range v.each(resourceOf(TablePorts).name, indexAdoptable, "") {
		seen[r.msg.(*storev1.Port).GetAdoptableUuid()] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// PortsByBridge returns the interfaces on a real bridge of a host, ordered by
// name.
func (v *View) PortsByBridge(hostUUID, bridge string) []*storev1.Port {
	return list[*storev1.Port](v, TablePorts, indexBridge, indexKey(hostUUID, bridge))
}

// PortsByNetworkBridge returns the interfaces of a host on a bridge as a user
// names it: the fake bridge of their VLAN where there is one.
func (v *View) PortsByNetworkBridge(hostUUID, bridge string) []*storev1.Port {
	return list[*storev1.Port](v, TablePorts, indexNetworkBridge, indexKey(hostUUID, bridge))
}

func (t *tx) observeHost(c *storev1.ObserveHost) (Result, error) {
	h := t.Host(c.GetHostUuid())
	if h == nil {
		return Result{}, &NotFoundError{Kind: KindHost, ID: c.GetHostUuid()}
	}
	t.observe(h, c)
	if f := c.GetFacts(); f != nil {
		t.putKey(TableHostFacts, h.GetUuid(), proto.CloneOf(f))
		t.learnHost(h, f)
	}
	return Result{}, nil
}

// observe stores what a host reports and brings the networks and VIFs that are
// touched in line. Rows that are gone go first: a name in both lists stays.
func (t *tx) observe(h *poolwirev1.Host, c *storev1.ObserveHost) {
	var bridges, vifs touched
	for _, name := range c.GetBridgesGone() {
		t.del(TableBridges, hostKey(h.GetUuid(), name))
		bridges.add(name)
	}
	for _, b := range c.GetBridges() {
		if b.GetName() == "" {
			continue
		}
		b = proto.CloneOf(b)
		b.HostUuid = h.GetUuid()
		t.put(TableBridges, b)
		bridges.add(b.GetName())
	}
	if t.meaning >= meaningSecured {
		// What a port may be depends on the network that it is on.
		for _, name := range bridges.names {
			t.refreshNetwork(h, name)
		}
	}
	for _, name := range c.GetPortsGone() {
		vifs.add(t.Port(h.GetUuid(), name).GetVifUuid())
		t.del(TablePorts, hostKey(h.GetUuid(), name))
	}
	for _, p := range c.GetPorts() {
		if p.GetName() == "" {
			continue
		}
		vifs.add(t.Port(h.GetUuid(), p.GetName()).GetVifUuid())
		p = proto.CloneOf(p)
		p.HostUuid = h.GetUuid()
		if len(p.GetVifUuid()) > maxKey {
			p.VifUuid = ""
		}
		p.ClaimedVifUuid, p.Refusal, p.RefusedFor = "", 0, ""
		if t.meaning >= meaningSecured {
			t.settleClaim(h, p)
		}
		p.Zone = 0
		if before := t.Port(h.GetUuid(), p.GetName()); before.GetVifUuid() == p.GetVifUuid() {
			p.Zone = before.GetZone()
		}
		t.put(TablePorts, p)
		vifs.add(p.GetVifUuid())
	}
	if t.meaning >= meaningPolicies {
		t.giveZones(h.GetUuid())
	}
	for _, name := range bridges.names {
		t.refreshNetwork(h, name)
	}
	for _, uuid := range vifs.names {
		t.refreshVif(uuid)
	}
}

// touched is a list of names without repetition, in order of appearance: the
// order decides on object ids, so it must not come from a map.
type touched struct {
	names []string
	seen  map[string]struct{}
}

func (s *touched) add(name string) {
	if _, ok := s.seen[name]; ok || name == "" {
		return
	}
	if s.seen == nil {
		s.seen = map[string]struct{}{}
	}
	s.seen[name] = struct{}{}
	s.names = append(s.names, name)
}

// learnHost fills what the operator left to be learned from the host itself:
// the system-id of a PASSIVE host, and the certificate of a FIRST_USE host.
// A system-id or certificate another host has is not believed: the switch that
// answers is that other host.
func (t *tx) learnHost(old *poolwirev1.Host, f *storev1.HostFacts) {
	by := objectRef{TableHosts, old.GetUuid()}
	systemID, certificate := f.GetSystemId(), f.GetCertificateSha256()
	if has := t.HostBySystemID(systemID); (has != nil && has != old) || t.claimed(claim(claimSystemID, systemID), by) {
		systemID = ""
	}
	if has := t.HostByCertificate(certificate); (has != nil && has != old) || t.claimed(claim(claimCertificate, certificate), by) {
		certificate = ""
	}
	learned := func(h *poolwirev1.Host) *poolwirev1.Host {
		h = proto.CloneOf(h)
		if h.GetSystemId() == "" && h.GetMode() == poolwirev1.ConnectionMode_CONNECTION_MODE_PASSIVE {
			h.SystemId = systemID
		}
		if h.GetCertificateSha256() == "" && h.GetTrust() == poolwirev1.TrustMode_TRUST_MODE_FIRST_USE {
			h.CertificateSha256 = certificate
		}
		return h
	}
	t.put(TableHosts, learned(old))
	t.amendHeld(by, func(before proto.Message) proto.Message { return learned(before.(*poolwirev1.Host)) })
}
