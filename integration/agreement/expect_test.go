package agreement

import (
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/integration/agreement/reference"
	"poolwire/southbound/openflow/flow"
)

// expectation is what the reference says of a packet, and where the bridge then
// forwards it.
type expectation struct {
	out []copyOut
	// sent is what the sender's policy says, received that of the VIFs it is judged for.
	sender   *flowcompiler.VIF
	sent     *reference.Verdict
	received map[uint32]reference.Verdict
	// answer is what the switch itself answers the sender, and nobody else hears.
	answer *walk.Packet
}

// expect works out what becomes of a packet.
func (w *world) expect(p walk.Packet, s session) expectation {
	e := expectation{received: map[uint32]reference.Verdict{}}
	sender := w.vifAt(p.InPort)
	e.sender = sender
	if sender != nil {
		seen := p
		v := w.ref.Sends(sender, seen, s.in(sender.Zone))
		e.sent = &v
		if !v.Pass || !w.private && !w.mayUse(sender, p.EthSrc) {
			return e
		}
	}
	if w.private && sender != nil {
		if answer, ok := w.ref.Answer(sender, p); ok {
			e.answer, e.out = &answer, []copyOut{{port: p.InPort}}
			return e
		}
	}
	if w.private {
		w.expectPrivate(&e, sender, p, s)
	} else {
		w.expectExternal(&e, sender, p, s)
	}
	e.out = sorted(e.out)
	return e
}

// mayUse reports whether a VIF of an external network may send from a MAC address: no
// VIF from the host's, and one that is guarded only from those the switch knows as its.
// A trace teaches the switch nothing, so these are its own.
func (w *world) mayUse(v *flowcompiler.VIF, mac flow.MAC) bool {
	return mac != hostMAC && (mac == v.MAC || !w.ref.Guarded(v))
}

// heard returns the VIF, of this host or of another, that a packet comes from.
func (w *world) heard(sender *flowcompiler.VIF, p walk.Packet) *flowcompiler.VIF {
	network := w.private || p.VLAN&0xfff == 0 || p.VLAN&0xfff == vlanTen
	if sender == nil && p.InPort == portBeyond && p.EthSrc == peerMAC && network {
		return &w.peer
	}
	return sender
}

// judge asks whether a packet reaches a VIF, with the tag that the VIF sees.
func (w *world) judge(e *expectation, v, sender *flowcompiler.VIF, p walk.Packet, vlan uint16, s session) bool {
	if v == sender || w.ref.Shut(v) {
		return false
	}
	if !w.ref.Guarded(v) {
		return true
	}
	if !w.private && sender == nil && p.InPort == portBeyond && p.EthSrc == v.MAC || !reference.Hears(v, w.heard(sender, p)) {
		return false
	}
	p.VLAN = 0
	if vlan != 0 {
		p.VLAN = walk.VLANPresent | vlan
	}
	verdict := w.ref.Judge(v, p, true, s.in(v.Zone))
	e.received[v.ID] = verdict
	return verdict.Pass
}

// expectPrivate: one VIF, another host, or everyone.
func (w *world) expectPrivate(e *expectation, sender *flowcompiler.VIF, p walk.Packet, s session) {
	vlan := p.VLAN & 0xfff
	deliver := func(v *flowcompiler.VIF) {
		if w.judge(e, v, sender, p, vlan, s) {
			e.out = append(e.out, copyOut{v.Ports[0], vlan, p.VLAN != 0})
		}
	}
	beyond := func() {
		if p.InPort != portBeyond {
			e.out = append(e.out, copyOut{portBeyond, vlan, p.VLAN != 0})
		}
	}
	if p.EthDst == otherMAC {
		beyond()
		return
	}
	for i := range w.ref.VIFs {
		if v := &w.ref.VIFs[i]; v.MAC == p.EthDst {
			deliver(v)
			return
		}
	}
	for i := range w.ref.VIFs {
		deliver(&w.ref.VIFs[i])
	}
	beyond()
}

// vlanOf returns the VLAN that a packet is in on an external bridge, and whether NORMAL
// takes it: an access port has no tagged packets, but for a priority tag.
func (w *world) vlanOf(p walk.Packet) (vlan uint16, ok bool) {
	if v := w.vifAt(p.InPort); v != nil && v.Network == netTen {
		return vlanTen, p.VLAN&0xfff == 0
	}
	return p.VLAN & 0xfff, true
}

// expectExternal: what is judged of a packet before the switch's own forwarding gets
// it, and the copies that it does not make.
func (w *world) expectExternal(e *expectation, sender *flowcompiler.VIF, p walk.Packet, s session) {
	vlan, ok := w.vlanOf(p)
	if !ok {
		return
	}
	for i := range w.ref.VIFs {
		v := &w.ref.VIFs[i]
		seen, takesPart := w.sees(v, vlan)
		group := p.EthDst.IsMulticast()
		switch {
		case w.ref.Shut(v) || !w.ref.Guarded(v) || !group && (v.MAC != p.EthDst || v.Network == netTen && !takesPart):
		case !group:
			if !w.judge(e, v, sender, p, seen, s) {
				return
			}
		case takesPart && w.judge(e, v, sender, p, seen, s):
			e.out = append(e.out, copyOut{v.Ports[0], seen, seen != 0})
		}
	}
	e.out = append(e.out, w.forward(p)...)
}

// sees returns the tag that a VIF sees on packets of a VLAN, and whether it gets them.
func (w *world) sees(v *flowcompiler.VIF, vlan uint16) (tag uint16, takesPart bool) {
	if v.Network == netTen {
		return 0, vlan == vlanTen
	}
	return vlan, vlan == 0 || w.ref.TakesPart(v, vlan)
}

// forward is NORMAL on the bridge of external networks: ports 3 and 4 are access ports
// of VLAN 10, all others carry every VLAN. All addresses of VIFs, of the uplink and of
// the host are known to it.
func (w *world) forward(p walk.Packet) []copyOut {
	vlan, ok := w.vlanOf(p)
	if !ok {
		return nil
	}
	known := func(port uint32) bool {
		v := w.vifAt(port)
		switch {
		case port == portBeyond:
			return p.EthDst == otherMAC && (vlan == 0 || vlan == vlanTen)
		case port == flow.PortLocal:
			return p.EthDst == hostMAC && vlan == 0
		case v.Network == netTen:
			return p.EthDst == v.MAC && vlan == vlanTen
		}
		return p.EthDst == v.MAC && vlan == 0
	}
	ports := []uint32{1, 2, 3, 4, portBeyond, flow.PortLocal}
	flood := true
	if i := slices.IndexFunc(ports, known); i >= 0 {
		ports, flood = ports[i:i+1], false
	}
	var out []copyOut
	for _, port := range ports {
		config, v := w.configs[port], w.vifAt(port)
		access := v != nil && v.Network == netTen
		switch {
		case port == p.InPort || config.NoForward || flood && config.NoFlood || access && vlan != vlanTen:
		case access:
			out = append(out, copyOut{port: port})
		default:
			out = append(out, copyOut{port, vlan, vlan != 0})
		}
	}
	return out
}
