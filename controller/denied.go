package controller

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/controller/frame"
	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow"
)

// Bounds on what one bridge may have the controller do for denied packets. The
// meters of the bridge keep to the same, but a hostile one need not.
const (
	samplesPerSecond = 20
	answersPerSecond = 100
)

// answersPerVIF bounds the answers to what the rules of one VIF reject, so that one
// under a scan leaves some to the others.
const answersPerVIF = 20

// Values of flowcompiler's fields that a denied packet is told apart by.
const (
	verdictReject = 4
	fromVIF       = 1
)

// field reads a field from the registers of a packet.
func field(registers [16]uint32, f flowcompiler.Field) uint32 {
	row := flowcompiler.Fields()[f]
	return registers[row.Register] >> row.Low & uint32(uint64(1)<<row.Bits-1)
}

// deniedPacket is a packet that a bridge denied, as the bridge tells it.
type deniedPacket struct {
	inPort    uint32
	registers [16]uint32
	frame     frame.Frame
}

// packetIn reads a packet that the switch sent up; ok is false for one that is not
// about a denial.
func packetIn(in openflow.PacketIn) (p deniedPacket, ok bool) {
	if in.Table != uint8(flowcompiler.TableDenied) || !flowcompiler.Own(in.Cookie) {
		return p, false
	}
	f, err := frame.Parse(in.Data)
	if err != nil {
		return p, false
	}
	return deniedPacket{inPort: in.InPort, registers: in.Registers, frame: f}, true
}

func (p deniedPacket) inbound() bool { return field(p.registers, flowcompiler.FieldInbound) != 0 }

func (p deniedPacket) rejected() bool {
	return field(p.registers, flowcompiler.FieldVerdict) == verdictReject
}

// flooded tells that the packet was a copy, of what others get as well: nothing that is
// sent to a group of stations is answered (RFC 1122 section 3.2.2).
func (p deniedPacket) flooded() bool { return field(p.registers, flowcompiler.FieldCopy) != 0 }

// subject is the object id of the VIF whose policy denied the packet. A VIF without a
// policy, which only rules of XCP-ng's form bind, is known by its part in the packet.
func (p deniedPacket) subject() uint32 {
	if id := field(p.registers, flowcompiler.FieldSubject); id != 0 {
		return id
	}
	if p.inbound() {
		return field(p.registers, flowcompiler.FieldDestination)
	}
	return field(p.registers, flowcompiler.FieldSourceVIF)
}

// onPacketIn logs a denied packet for whoever watches, and answers one that was rejected.
// It never waits for the switch.
func (s *session) onPacketIn(in openflow.PacketIn) {
	p, ok := packetIn(in)
	if !ok {
		return
	}
	now := s.lead.cfg.Clock.Now()
	sampled := s.lead.denied.watched() && s.samples.AllowN(now, 1)
	// The VIF's own share comes first: what is over takes nothing from the others.
	answered := p.rejected() && !p.flooded() && s.answers.shares.take(p.subject(), now) && s.answers.all.AllowN(now, 1)
	if !sampled && !answered {
		return
	}
	view := s.lead.store.View()
	host := view.Host(s.host.uuid)
	if host == nil {
		return
	}
	d, ok := s.denialOf(newModel(view, host, s.name, s.ports, false), p)
	if !ok {
		s.lead.metrics.foreign.Inc()
		if !s.lied {
			s.lied = true
			s.log.Warn("the switch tells of a denied packet of a VIF or rule that is not on this bridge; there may be more", "vif", p.subject(), "rule", field(p.registers, flowcompiler.FieldRule))
		}
		return
	}
	if sampled {
		s.lead.denied.publish(s.sample(d, now))
	}
	if answered && d.vif != nil {
		s.answers.give(d)
	}
}

// sample describes a denied packet in API words.
func (s *session) sample(d denial, now time.Time) *poolwirev1.WatchDeniedResponse {
	p, f := d.deniedPacket, d.frame
	out := &poolwirev1.WatchDeniedResponse{
		Time: timestamppb.New(now), HostUuid: s.host.uuid, HostNameLabel: *s.host.label.Load(), Bridge: s.name, VifUuid: d.vif.GetUuid(),
		Direction: poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND, Action: poolwirev1.RuleAction_RULE_ACTION_DROP,
		RuleUuid: d.rule, SourceVifUuid: d.source, DestinationVifUuid: d.destination,
		SourceMac: f.Source.String(), DestinationMac: f.Destination.String(), Ethertype: uint32(f.EtherType),
	}
	if p.inbound() {
		out.Direction = poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND
	}
	if p.rejected() {
		out.Action = poolwirev1.RuleAction_RULE_ACTION_REJECT
	}
	if f.SourceIP.IsValid() {
		out.SourceAddress, out.DestinationAddress = f.SourceIP.String(), f.DestinationIP.String()
	}
	if f.HasProtocol {
		out.IpProtocol = uint32(f.Protocol)
	}
	if f.HasPorts {
		out.SourcePort, out.DestinationPort = uint32(f.SourcePort), uint32(f.DestinationPort)
	}
	return out
}
