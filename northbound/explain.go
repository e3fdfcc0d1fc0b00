package northbound

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// What a packet has that is asked about without saying so.
const (
	usualPort       = 80
	usualSourcePort = 40000
	echoRequest     = 8   // RFC 792
	echoRequestV6   = 128 // RFC 4443
)

// Explain says what becomes of a packet, from the compiled tables, and which rule
// decided.
func (s *policyService) Explain(ctx context.Context, req *v1.ExplainRequest) (*v1.ExplainResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	q := question{ExplainRequest: proto.CloneOf(req)}
	var bad violations
	if err := q.resolve(v, &bad); err != nil {
		return nil, err
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	if len(v.PortsByVif(q.GetVif())) == 0 {
		text := "the VIF " + q.GetVif() + " is not plugged into any host now: there are no tables to follow a packet through"
		return nil, detailed(codes.FailedPrecondition, "vif: "+text, &errdetails.PreconditionFailure{
			Violations: []*errdetails.PreconditionFailure_Violation{{Type: "VIF_PLUGGED", Subject: "VIF " + q.GetVif(), Description: text}},
		})
	}
	out, err := s.cfg.Live.Explain(ctx, v.Whole(), q.ExplainRequest)
	if err != nil {
		return nil, s.liveError(ctx, "following the packet", err)
	}
	out.Assumptions = append(q.assumptions, out.GetAssumptions()...)
	if r := v.PolicyRule(out.GetDecidedBy().GetRuleUuid()); r != nil {
		out.DecidedBy.Warnings = newOdd(v).rule(r)
	}
	return out, nil
}

// liveError is the status of what the controller could not do.
func (s *Server) liveError(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return statusOf(ctx.Err(), "")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return statusOf(err, "")
	case !s.cfg.Store.IsLeader():
		id, address := s.cfg.Store.Leader()
		return notLeading("this node lost the lead meanwhile", id, address)
	}
	return status.Errorf(codes.Unavailable, "%s: %v", what, err)
}

// question is a request to explain on its way to one in which everything is
// resolved.
type question struct {
	*v1.ExplainRequest
	assumptions []string
}

// resolve checks a question and fills in what it leaves out. What is wrong with
// it is recorded; the VIF it is about not being there is an error.
func (q *question) resolve(v *raftstore.View, bad *violations) error {
	vif, err := findVif(v, "vif", q.GetVif())
	if err != nil {
		return err
	}
	q.Vif = vif.GetUuid()
	switch checkEnum(bad.at("direction"), q.GetDirection()); q.GetDirection() {
	case v1.TrafficDirection_TRAFFIC_DIRECTION_UNSPECIFIED:
		q.Direction = v1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND
	case v1.TrafficDirection_TRAFFIC_DIRECTION_BOTH:
		bad.at("direction").refuse("BOTH", "a packet has one direction: OUTBOUND or INBOUND")
	}
	bad.at("protocol").policyProtocol(&q.Protocol)
	if q.GetProtocol() == protoAny {
		q.Protocol = protoTCP
	}
	if q.GetVlan() > maxVLAN {
		bad.at("vlan").refuseNumber(q.GetVlan(), "must be 1 to %d, or 0 for none", maxVLAN)
	}
	q.fillPorts(bad)
	q.fillICMP(bad)
	if err := q.resolveRemote(v, vif, bad); err != nil {
		return err
	}
	q.checkAddresses(bad)
	bad.at("source_mac").mac(&q.SourceMac)
	q.checkFamilies(bad)
	return nil
}

// checkAddresses: the ends have addresses that packets have. Nothing sends from the address
// of a group or of everybody, to which everything may be sent.
func (q *question) checkAddresses(bad *violations) {
	inbound := q.GetDirection() == v1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND
	for _, e := range []struct {
		path   string
		text   *string
		sender bool
	}{{"local_address", &q.LocalAddress, !inbound}, {"remote_address", &q.RemoteAddress, inbound}} {
		addr, err := netip.ParseAddr(*e.text)
		if err == nil && !e.sender && isGroup(addr) {
			*e.text = addr.String()
			continue
		}
		if bad.at(e.path).address(e.text); err == nil && e.sender && addr == limitedBroadcast {
			bad.at(e.path).refuse(*e.text, fromGroup)
		}
	}
	remote, err := netip.ParseAddr(q.GetRemote())
	mac, isMAC := anyMAC(q.GetRemote())
	if inbound && (err == nil && isGroup(remote) || isMAC && mac[0]&1 != 0) {
		bad.at("remote").refuse(q.GetRemote(), fromGroup)
	}
	if err == nil && q.GetRemoteAddress() != "" {
		bad.at("remote_address").refuse(q.GetRemoteAddress(), "must be empty beside remote (%s), which is an address already; it is for the address of a VIF or of a MAC address", remote)
	}
}

const fromGroup = "is the address of a group or of everybody, which nothing sends from; a unicast address is accepted"

// isGroup tells whether an address is that of a group, or of everybody on a network.
func isGroup(a netip.Addr) bool { return a.IsMulticast() && a.Zone() == "" || a == limitedBroadcast }

// limitedBroadcast is everybody on a network (RFC 919 section 7).
var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// fillPorts: ports belong to TCP, UDP and SCTP, whose packets have them.
func (q *question) fillPorts(bad *violations) {
	has := q.GetProtocol() == protoTCP || q.GetProtocol() == protoUDP || q.GetProtocol() == protoSCTP
	for _, f := range []struct {
		path string
		port *uint32
	}{{"port", q.Port}, {"source_port", q.SourcePort}} {
		switch {
		case f.port == nil:
		case !has:
			bad.at(f.path).refuseNumber(*f.port, "must be absent for protocol %s; tcp, udp and sctp have ports", q.GetProtocol())
		case *f.port > maxPort:
			bad.at(f.path).refuseNumber(*f.port, "must be 0 to %d", maxPort)
		}
	}
	if !has {
		return
	}
	if q.Port == nil {
		q.Port = proto.Uint32(usualPort)
		q.assumptions = append(q.assumptions, fmt.Sprintf("the destination port is not given; %d is taken", usualPort))
	}
	if q.SourcePort == nil {
		q.SourcePort = proto.Uint32(usualSourcePort)
	}
}

// fillICMP: type and code belong to ICMP and ICMPv6.
func (q *question) fillICMP(bad *violations) {
	has := q.GetProtocol() == protoICMP || q.GetProtocol() == protoICMPv6
	for _, f := range []struct {
		path string
		n    *uint32
	}{{"icmp_type", q.IcmpType}, {"icmp_code", q.IcmpCode}} {
		if f.n != nil && !has {
			bad.at(f.path).refuseNumber(*f.n, "must be absent for protocol %s; icmp and icmpv6 have it", q.GetProtocol())
			continue
		}
		bad.at(f.path).icmp(f.n)
	}
	if !has {
		return
	}
	if q.IcmpType == nil {
		q.IcmpType = proto.Uint32(echoRequest)
		if q.GetProtocol() == protoICMPv6 {
			q.IcmpType = proto.Uint32(echoRequestV6)
		}
	}
	if q.IcmpCode == nil {
		q.IcmpCode = proto.Uint32(0)
	}
}

// resolveRemote brings the other end into canonical form: an address, or the UUID
// of a VIF.
func (q *question) resolveRemote(v *raftstore.View, vif *v1.Vif, bad *violations) error {
	ref := q.GetRemote()
	if ref == "" {
		q.assumptions = append(q.assumptions, "the other end is not given; a station that is no VIF is taken")
		return nil
	}
	if addr, err := netip.ParseAddr(ref); err == nil {
		if addr.Zone() != "" || addr.Is4In6() || addr.IsUnspecified() {
			bad.at("remote").refuse(ref, `must be an IP address like "192.0.2.7" or "2001:db8::7"`)
		}
		q.Remote = addr.String()
		return nil
	}
	// A MAC address may be that of several VIFs: which one follows from the network.
	if mac, ok := anyMAC(ref); ok {
		q.Remote = mac.String()
		return nil
	}
	other, err := findVif(v, "remote", ref)
	if err := bad.adopt(err); err != nil {
		return err
	}
	if other != nil && other.GetUuid() == vif.GetUuid() {
		bad.at("remote").refuse(ref, "is the VIF itself; what a VM sends to itself does not leave it")
	}
	q.Remote = other.GetUuid()
	return nil
}

// checkFamilies: both ends are of the family that the protocol has.
func (q *question) checkFamilies(bad *violations) {
	path := "remote"
	remote, remoteErr := netip.ParseAddr(q.GetRemote())
	if q.GetRemoteAddress() != "" {
		path = "remote_address"
		remote, remoteErr = netip.ParseAddr(q.GetRemoteAddress())
	}
	local, localErr := netip.ParseAddr(q.GetLocalAddress())
	if remoteErr == nil && localErr == nil && remote.Is4() != local.Is4() {
		bad.at("local_address").refuse(q.GetLocalAddress(), "is of another family than %s (%s); a packet has addresses of one", path, remote)
	}
	for _, f := range []struct {
		path string
		addr netip.Addr
		err  error
	}{{path, remote, remoteErr}, {"local_address", local, localErr}} {
		switch p := q.GetProtocol(); {
		case f.err != nil:
		case f.addr.Is6() && (p == protoICMP || p == protoARP):
			bad.at(f.path).refuse(f.addr.String(), "is IPv6, and protocol %s is IPv4's; IPv6 has icmpv6", p)
		case f.addr.Is4() && p == protoICMPv6:
			bad.at(f.path).refuse(f.addr.String(), "is IPv4, and protocol icmpv6 is IPv6's; use icmp")
		}
	}
}
