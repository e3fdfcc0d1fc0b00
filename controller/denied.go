package controller

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/controller/frame"
	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// Bounds on what one bridge may have the controller do for denied packets. The
// meters of the bridge keep to the same, but a hostile one need not.
const (
	samplesPerSecond = 20
	answersPerSecond = 100
)

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
func (s *session) onPacketIn(ctx context.Context, in openflow.PacketIn) error {
	p, ok := packetIn(in)
	if !ok {
		return nil
	}
	now := s.lead.cfg.Clock.Now()
	sampled := s.lead.denied.watched() && s.samples.take(now)
	answered := p.rejected() && s.answers.take(now)
	if !sampled && !answered {
		return nil
	}
	view := s.lead.store.View()
	_, object := view.Object(p.subject())
	vif, _ := object.(*poolwirev1.Vif)
	if sampled {
		s.lead.denied.publish(s.sample(view, p, vif, now))
	}
	if !answered || vif == nil {
		return nil
	}
	return s.answer(ctx, view, p, vif)
}

// sample describes a denied packet in API words.
func (s *session) sample(view *raftstore.View, p deniedPacket, vif *poolwirev1.Vif, now time.Time) *poolwirev1.WatchDeniedResponse {
	f := p.frame
	out := &poolwirev1.WatchDeniedResponse{
		Time: timestamppb.New(now), HostUuid: s.host.uuid, HostNameLabel: *s.host.label.Load(), Bridge: s.name, VifUuid: vif.GetUuid(),
		Direction: poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND, Action: poolwirev1.RuleAction_RULE_ACTION_DROP,
		RuleUuid:  ruleUUID(view, field(p.registers, flowcompiler.FieldRule)),
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

// ruleUUID is the UUID of a rule by its object id; empty when it is no rule's.
func ruleUUID(view *raftstore.View, id uint32) string {
	if id == 0 {
		return ""
	}
	switch _, object := view.Object(id); r := object.(type) {
	case *poolwirev1.PolicyRule:
		return r.GetUuid()
	case *poolwirev1.Rule:
		return r.GetUuid()
	}
	return ""
}

// answer tells the sender of a rejected packet. An answer that the switch does not
// take is no more than a lost packet; only a lost session is an error.
func (s *session) answer(ctx context.Context, view *raftstore.View, p deniedPacket, vif *poolwirev1.Vif) error {
	host := view.Host(s.host.uuid)
	if host == nil {
		return nil
	}
	ports, n, ok := newModel(view, host, s.name, s.ports, false).plugs(vif.GetUuid())
	if !ok {
		return nil
	}
	way, ok := wayBack(p, ports, n)
	if !ok {
		return nil
	}
	if way.normal && n.VLAN != 0 && len(p.frame.Tags) >= 4 {
		p.frame.Tags = p.frame.Tags[4:] // the VIF's port is in the VLAN, and tags by itself
	}
	data, ok := p.frame.Answer()
	if !ok {
		return nil
	}
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sw.PacketOut(ctx, way.inPort, way.actions, data) })
	if refusedBySwitch(err) {
		s.log.Debug("answer not sent", "error", err)
		return nil
	}
	return err
}

// refusedBySwitch reports an error that the switch answered with.
func refusedBySwitch(err error) bool {
	var refused *openflow.SwitchError
	return errors.As(err, &refused)
}

// way is how an answer gets to the sender.
type way struct {
	inPort  uint32
	actions []flow.Action
	normal  bool
}

// wayBack finds the way to the sender of a packet that was denied for a VIF with these
// ports. To a VIF, and on a private network, it is the port the packet came by. What
// came from elsewhere goes the switch's own way, as if the VIF answered: a bond has
// one member that an address may be sent by.
func wayBack(p deniedPacket, ports []uint32, n bridgeNetwork) (way, bool) {
	straight := way{inPort: flow.PortController, actions: []flow.Action{flow.Output(p.inPort)}}
	switch {
	case p.inPort == 0 || p.inPort > flow.PortMax && p.inPort != flow.PortLocal:
		return way{}, false
	case !p.inbound():
		return straight, slices.Contains(ports, p.inPort)
	case n.Private || field(p.registers, flowcompiler.FieldSource) == fromVIF:
		return straight, true
	}
	return way{inPort: ports[0], actions: []flow.Action{flow.Normal()}, normal: true}, true
}
