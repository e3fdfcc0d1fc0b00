package openflowtest

import "encoding/binary"

// The ONF bundle extension (EXT-230).
const (
	onf           uint32 = 0x4f4e4600
	bundleControl uint32 = 2300
	bundleAdd     uint32 = 2301

	// NXT_CT_FLUSH_ZONE of Open vSwitch (nicira-ext.h).
	nicira    uint32 = 0x2320
	flushZone uint32 = 29

	ctlOpen    uint16 = 0
	ctlClose   uint16 = 2
	ctlCommit  uint16 = 4
	ctlDiscard uint16 = 6

	errBadID     uint16 = 2302
	errExists    uint16 = 2303
	errClosed    uint16 = 2304
	errBadType   uint16 = 2306
	errBadFlags  uint16 = 2307
	errBadXID    uint16 = 2309
	errUnsup     uint16 = 2310
	errMsgFailed uint16 = 2313
)

type bundle struct {
	flags  uint16
	closed bool
	mods   []mod
}

// experimenter answers bundle messages and refuses the rest.
func (c *Session) experimenter(m Message) error {
	if len(m.Body) >= 8 && binary.BigEndian.Uint32(m.Body) == nicira && binary.BigEndian.Uint32(m.Body[4:]) == flushZone {
		return nil // there is no conntrack, and so nothing in the zone
	}
	if len(m.Body) < 16 || binary.BigEndian.Uint32(m.Body) != onf || c.sw.cfg.NoBundles {
		return c.refuse(m, badRequest, badRequestExperimenter)
	}
	if c.isSlave() {
		return c.refuse(m, badRequest, badRequestSlave)
	}
	id := binary.BigEndian.Uint32(m.Body[8:])
	flags := binary.BigEndian.Uint16(m.Body[14:])
	switch binary.BigEndian.Uint32(m.Body[4:]) {
	case bundleControl:
		kind := binary.BigEndian.Uint16(m.Body[12:])
		if code := c.control(m, id, kind, flags); code != 0 {
			return c.Write(bundleError(m.XID, code, m.Raw))
		}
		return nil
	case bundleAdd:
		return c.addToBundle(m, id, flags)
	}
	return c.refuse(m, badRequest, badRequestExperimenter)
}

// control executes a bundle control message and answers it, or returns a bundle error.
func (c *Session) control(m Message, id uint32, kind, flags uint16) uint16 {
	b, there := c.bundles[id]
	switch {
	case kind == ctlOpen && there:
		return errExists
	case kind == ctlOpen:
		c.bundles[id] = &bundle{flags: flags}
	case !there:
		return errBadID
	case kind != ctlDiscard && flags != b.flags:
		return errBadFlags
	case kind == ctlClose && b.closed:
		return errClosed
	case kind == ctlClose:
		b.closed = true
	case kind == ctlDiscard:
		delete(c.bundles, id)
	case kind == ctlCommit:
		delete(c.bundles, id)
		if failed, refusal := c.sw.commit(b); refusal != nil {
			_ = c.refuse(failed, refusal.Type, refusal.Code)
			return errMsgFailed
		}
	default:
		return errBadType
	}
	body := append([]byte(nil), m.Body[:16]...)
	binary.BigEndian.PutUint16(body[12:], kind+1)
	_ = c.Write(frame(msgExperimenter, m.XID, body))
	return 0
}

// addToBundle puts the embedded flow mod into the bundle.
func (c *Session) addToBundle(m Message, id uint32, flags uint16) error {
	b, there := c.bundles[id]
	inner := m.Body[16:]
	code := uint16(0)
	switch {
	case !there:
		code = errBadID
	case b.closed:
		code = errClosed
	case flags != b.flags:
		code = errBadFlags
	case len(inner) < 8 || inner[0] != 4 || inner[1] != msgFlowMod || int(binary.BigEndian.Uint16(inner[2:])) > len(inner):
		code = errUnsup
	case binary.BigEndian.Uint32(inner[4:]) != m.XID:
		code = errBadXID
	}
	if code != 0 {
		return c.Write(bundleError(m.XID, code, m.Raw))
	}
	inner = inner[:binary.BigEndian.Uint16(inner[2:])]
	fm, ok := decodeFlowMod(Message{Type: msgFlowMod, XID: m.XID, Raw: inner, Body: inner[8:]})
	if !ok {
		return c.refuse(m, badRequest, badRequestLen)
	}
	c.sw.mu.Lock()
	refusal := c.sw.verdict(fm)
	c.sw.mu.Unlock()
	if refusal != nil && refusal.WhenAdded {
		return c.refuse(m, refusal.Type, refusal.Code)
	}
	b.mods = append(b.mods, fm)
	return nil
}

// commit executes all flow mods of a bundle or, when one is refused, none.
func (s *Switch) commit(b *bundle) (failed Message, refusal *Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.FlowMods += len(b.mods)
	for _, m := range b.mods {
		if r := s.verdict(m); r != nil {
			return m.from, r
		}
	}
	for _, m := range b.mods {
		s.execute(m)
	}
	s.counters.Commits++
	return Message{}, nil
}
