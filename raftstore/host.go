package raftstore

import (
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Hosts returns all hosts.
func (v *View) Hosts() []*poolwirev1.Host { return all[*poolwirev1.Host](v, TableHosts) }

// HostsByPool returns the hosts of a pool.
func (v *View) HostsByPool(poolUUID string) []*poolwirev1.Host {
	return list[*poolwirev1.Host](v, TableHosts, indexPool, indexKey(poolUUID))
}

// Host returns a host by UUID.
func (v *View) Host(uuid string) *poolwirev1.Host { return get[*poolwirev1.Host](v, TableHosts, uuid) }

// HostByName returns a host by name_label, which is unique.
func (v *View) HostByName(name string) *poolwirev1.Host {
	return find[*poolwirev1.Host](v, TableHosts, indexName, indexKey(name))
}

// HostBySystemID returns the host with an Open_vSwitch.external_ids:system-id;
// no two hosts have the same.
func (v *View) HostBySystemID(systemID string) *poolwirev1.Host {
	if systemID == "" {
		return nil
	}
	return find[*poolwirev1.Host](v, TableHosts, indexSystemID, indexKey(systemID))
}

// HostByAddress returns the host with an address to dial; no two hosts have the
// same. Addresses are compared as they are; the proposer makes them canonical.
func (v *View) HostByAddress(address string) *poolwirev1.Host {
	if address == "" {
		return nil
	}
	return find[*poolwirev1.Host](v, TableHosts, indexAddress, indexKey(address))
}

// HostByCertificate returns the host with a pinned certificate, by the SHA-256
// in certificate_sha256; no two hosts have the same.
func (v *View) HostByCertificate(sha256 string) *poolwirev1.Host {
	if sha256 == "" {
		return nil
	}
	return find[*poolwirev1.Host](v, TableHosts, indexCertificate, indexKey(sha256))
}

// HostFacts returns what a host says of itself, nil before it was first seen.
func (v *View) HostFacts(hostUUID string) *storev1.HostFacts {
	return get[*storev1.HostFacts](v, TableHostFacts, hostUUID)
}

func (t *tx) putHost(c *storev1.PutHost) (Result, error) {
	h := proto.CloneOf(c.GetHost())
	if h == nil {
		return Result{}, &InvalidError{Field: "host", Reason: "is required"}
	}
	if err := firstError(checkKey("uuid", h.GetUuid()), checkName(h.GetNameLabel()), checkDescription(h.GetNameDescription())); err != nil {
		return Result{}, err
	}
	old := t.Host(h.GetUuid())
	switch {
	case c.GetCreate() && old != nil:
		return Result{}, &ExistsError{Kind: KindHost, Field: "uuid", Value: h.GetUuid(), By: h.GetUuid()}
	case !c.GetCreate() && old == nil:
		return Result{}, &NotFoundError{Kind: KindHost, ID: h.GetUuid()}
	}
	if err := checkEtag(KindHost, h.GetUuid(), old.GetEtag(), h.GetEtag()); err != nil {
		return Result{}, err
	}
	if err := t.checkHost(h, old); err != nil {
		return Result{}, err
	}
	if err := t.settleGuard(h, old); err != nil {
		return Result{}, err
	}
	h.Status = nil
	t.put(TableHosts, h)
	return wrote(h.GetUuid()), nil
}

// checkHost holds a host against the other objects of the state.
func (t *tx) checkHost(h, old *poolwirev1.Host) error {
	if old != nil {
		if err := checkUnchanged("pool_uuid", old.GetPoolUuid(), h.GetPoolUuid()); err != nil {
			return err
		}
	}
	if t.Pool(h.GetPoolUuid()) == nil {
		return &InvalidError{Field: "pool_uuid", Value: h.GetPoolUuid(), Reason: "names no pool"}
	}
	for _, unique := range []struct {
		field, value string
		by           *poolwirev1.Host
	}{
		{"name_label", h.GetNameLabel(), t.HostByName(h.GetNameLabel())},
		// Each of these names one switch: registered twice, it would be programmed
		// by two owners who undo each other's work.
		{"address", h.GetAddress(), t.HostByAddress(h.GetAddress())},
		{"system_id", h.GetSystemId(), t.HostBySystemID(h.GetSystemId())},
		{"certificate_sha256", h.GetCertificateSha256(), t.HostByCertificate(h.GetCertificateSha256())},
	} {
		if unique.by != nil && unique.by.GetUuid() != h.GetUuid() {
			return &ExistsError{Kind: KindHost, Field: unique.field, Value: unique.value, By: unique.by.GetUuid()}
		}
	}
	return nil
}

// deleteHost removes a host, all that was observed on it and its own
// memberships in private networks. Networks and VIFs nobody reports or wants
// any more go too.
func (t *tx) deleteHost(c *storev1.Delete) (Result, error) {
	uuid := c.GetUuid()
	h := t.Host(uuid)
	if h == nil {
		return Result{}, &NotFoundError{Kind: KindHost, ID: uuid}
	}
	if err := checkEtag(KindHost, uuid, h.GetEtag(), c.GetEtag()); err != nil {
		return Result{}, err
	}
	t.dropHost(h)
	return wrote(uuid), nil
}

// dropHost removes a host with all that hangs on it.
func (t *tx) dropHost(h *poolwirev1.Host) {
	uuid := h.GetUuid()
	gone := &storev1.ObserveHost{HostUuid: uuid}
	for _, b := range t.Bridges(uuid) {
		gone.BridgesGone = append(gone.BridgesGone, b.GetName())
	}
	for _, p := range t.Ports(uuid) {
		gone.PortsGone = append(gone.PortsGone, p.GetName())
	}
	t.observe(h, gone)
	t.del(TableHostFacts, uuid)
	t.dropPreferred(h)
	t.dropMember(memberHost, uuid)
	t.del(TableHosts, uuid)
}
