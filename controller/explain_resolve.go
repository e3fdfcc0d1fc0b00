package controller

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// explainQuestion is a packet to explain; an end without a VIF has an address or a MAC
// address of its own.
type explainQuestion struct {
	sender, receiver explainEnd
	// sourceMAC is what the packet is sent from; zero for the sender's own.
	sourceMAC          flow.MAC
	header             header
	reply, established bool
}

var errProtocol = errors.New("controller: unknown protocol")

// questionOf sorts the ends of a request into sender and receiver.
func questionOf(v *raftstore.View, r *poolwirev1.ExplainRequest) (explainQuestion, error) {
	h, err := headerOf(r)
	if err != nil {
		return explainQuestion{}, err
	}
	local := explainEnd{vif: v.Vif(r.GetVif()), addr: address(r.GetLocalAddress()), flag: "--local-address"}
	if local.vif == nil {
		return explainQuestion{}, fmt.Errorf("%w: VIF %s", ErrUnplugged, r.GetVif())
	}
	remote := explainEnd{addr: address(r.GetRemoteAddress()), flag: "--remote-address"}
	if mac, err := flow.ParseMAC(r.GetRemote()); err == nil {
		remote.mac = mac
	} else if remote.vif = v.Vif(r.GetRemote()); remote.vif == nil && r.GetRemote() != "" {
		remote.addr = address(r.GetRemote())
	}
	q := explainQuestion{sender: local, receiver: remote, header: h, reply: r.GetReply(), established: r.GetEstablished()}
	q.sourceMAC, _ = flow.ParseMAC(r.GetSourceMac())
	if r.GetDirection() == poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND {
		q.sender, q.receiver = remote, local
	}
	return q, nil
}

// headerOf reads protocol and ports of a request.
func headerOf(q *poolwirev1.ExplainRequest) (header, error) {
	h := header{vlan: uint16(q.GetVlan())}
	if q.GetProtocol() == "arp" {
		h.arp = true
		return h, nil
	}
	protocol, known := sessionProtocol(q.GetProtocol())
	if !known {
		return h, fmt.Errorf("%w %q", errProtocol, q.GetProtocol())
	}
	h.protocol = protocol
	switch protocol {
	case walk.ProtoICMP, walk.ProtoICMPv6:
		h.srcPort, h.dstPort = uint16(q.GetIcmpType()), uint16(q.GetIcmpCode())
	default:
		h.srcPort, h.dstPort = uint16(q.GetSourcePort()), uint16(q.GetPort())
	}
	return h, nil
}

// isSix and isFour say whether the protocol is one of IPv6, or of IPv4, alone.
func (h header) isSix() bool  { return !h.arp && h.protocol == walk.ProtoICMPv6 }
func (h header) isFour() bool { return h.arp || h.protocol == walk.ProtoICMP }

// placed is an address, or many, that a VIF may use under a MAC address.
type placed struct {
	mac    flow.MAC
	prefix netip.Prefix
}

// stations lists the addresses that a VIF is known by: what it is allowed under its own
// MAC address, and what its pairs and virtual routers say under others.
func (a *atlas) stations(v *poolwirev1.Vif) []placed {
	out, known := a.placed[v.GetUuid()]
	if known {
		return out
	}
	own, _ := flow.ParseMAC(v.GetMac())
	for _, p := range slices.Concat(prefixes(v.GetIpv4Allowed()), prefixes(v.GetIpv6Allowed())) {
		out = append(out, placed{own, p})
	}
	for _, pair := range addressPairs(v, own) {
		out = append(out, placed{pair.MAC, pair.Prefix})
	}
	a.placed[v.GetUuid()] = out
	return out
}

// addressesUnder lists what a VIF may use under one MAC address.
func (a *atlas) addressesUnder(v *poolwirev1.Vif, mac flow.MAC) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range a.stations(v) {
		if s.mac == mac {
			out = append(out, s.prefix)
		}
	}
	return out
}

// macsOf lists the MAC addresses under which a VIF may use an address.
func (a *atlas) macsOf(v *poolwirev1.Vif, addr netip.Addr) []flow.MAC {
	var out []flow.MAC
	for _, s := range a.stations(v) {
		if s.prefix.Contains(addr) && !slices.Contains(out, s.mac) {
			out = append(out, s.mac)
		}
	}
	return out
}

// learns are the flows that the switches have made when a VIF has sent from a MAC address
// that is not its own.
func (a *atlas) learns(v *poolwirev1.Vif, mac flow.MAC) []flow.Flow {
	var out []flow.Flow
	for _, p := range a.view.PortsByVif(v.GetUuid()) {
		m := newModel(a.view, a.view.Host(p.GetHostUuid()), p.GetBridge(), portNumbers{}, false)
		if n := m.networkOn(p.GetNetworkBridge()); n.ID != 0 {
			out = append(out, flowcompiler.LearnedFlow(n.ID, v.GetObjectId(), mac))
		}
	}
	return out
}
