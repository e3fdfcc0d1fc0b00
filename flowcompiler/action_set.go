package flowcompiler

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"poolwire/southbound/openflow/flow"
)

// ActionSet is a set of kinds of actions.
type ActionSet uint16

// The kinds of actions that flows of ours have, besides goto_table and resubmit.
const (
	// ActionLoad writes bits of a register.
	ActionLoad ActionSet = 1 << iota
	// ActionOutput sends to a port.
	ActionOutput
	// ActionNormal is the switch's own forwarding.
	ActionNormal
	// ActionPopVLAN takes the VLAN tag off.
	ActionPopVLAN
	// ActionSetTunnel sets the tunnel key.
	ActionSetTunnel
	// ActionLearn adds a flow to table learned.
	ActionLearn
	// ActionReverse looks a packet up as if it were sent back (push, move, pop).
	ActionReverse
	// ActionTrack looks a packet up in, or enters it into, the connection table.
	ActionTrack
	// ActionConjunction is a clause of a conjunctive match.
	ActionConjunction
	// ActionController sends a packet to the controller.
	ActionController
	// ActionMeter polices the rate.
	ActionMeter
	// ActionClone does things to a copy of the packet (clone, and what makes the datapath
	// do it: see flow.Copies).
	ActionClone
	// ActionPushVLAN puts a VLAN tag on, or changes it.
	ActionPushVLAN
	// ActionAnswer writes addresses of Ethernet and ARP, ARP's operation and ICMPv6's type.
	ActionAnswer
)

var actionNames = [...]string{"load", "output", "NORMAL", "pop_vlan", "set_tunnel", "learn", "reverse", "ct", "conjunction", "controller", "meter", "clone", "push_vlan", "answer"}

// String lists the actions of the set.
func (s ActionSet) String() string {
	var names []string
	for i, name := range actionNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// effects is what a flow's instructions do, as far as table rows speak of it.
type effects struct {
	actions ActionSet
	// next holds one bit per table number that the packet goes or is resubmitted to.
	next [4]uint64
	// written holds the bits written of each register that has fields.
	written [len(writable)]uint32
}

// writable are the registers that hold fields.
var writable = [...]MatchFields{MatchReg0, MatchReg1, MatchReg2, MatchReg3, MatchReg4, MatchReg5, MatchReg6, MatchReg7,
	MatchReg8, MatchReg9, MatchReg10, MatchReg11}

// answerFields are what an answer is made of, as a load names them (NXM). Never written to.
var answerFields = [...]flow.Field{
	2,      // NXM_OF_ETH_SRC
	15, 16, // NXM_OF_ARP_OP, NXM_OF_ARP_SPA
	flow.FieldReg0 + 17, // NXM_NX_ARP_SHA
	flow.FieldReg0 + 21, // NXM_NX_ICMPV6_TYPE
}

func (e *effects) addNext(table uint8) { e.next[table/64] |= 1 << (table % 64) }

// errInstructions says that instructions hold something no table row allows, or
// are not well formed.
var errInstructions = errors.New("instruction or action that no table may use")

// Numbers of OpenFlow 1.3.5 sections 7.2.4 and 7.2.5, and of Open vSwitch's
// extension actions (include/openvswitch/ofp-actions.h names them NXAST_*).
const (
	instructionGoto  = 1
	instructionApply = 4
	instructionMeter = 6

	actionOutput       = 0
	actionPushVLAN     = 17
	actionPopVLAN      = 18
	actionSetField     = 25
	actionExperimenter = 0xffff

	nicira             = 0x2320
	niciraMove         = 6
	niciraRegLoad      = 7
	niciraSetTunnel64  = 9
	niciraResubmit     = 14
	niciraLearn        = 16
	niciraPush         = 27
	niciraPop          = 28
	niciraRegLoad2     = 33
	niciraConjunction  = 34
	niciraTrack        = 35
	niciraOutputTrunc  = 39
	niciraClone        = 42
	niciraTrackClear   = 43
	niciraLearn2       = 45
	niciraActionHeader = 10

	// noTable is NX_CT_RECIRC_NONE: the packet is not looked up again.
	noTable = 0xff
)

// effectsOf takes encoded instructions apart.
func effectsOf(instructions flow.Instructions) (effects, error) {
	var e effects
	for rest := []byte(instructions); len(rest) > 0; {
		if len(rest) < 8 {
			return e, errInstructions
		}
		length := int(binary.BigEndian.Uint16(rest[2:]))
		if length < 8 || length > len(rest) {
			return e, errInstructions
		}
		switch binary.BigEndian.Uint16(rest) {
		case instructionGoto:
			e.addNext(rest[4])
		case instructionMeter:
			e.actions |= ActionMeter
		case instructionApply:
			if err := e.addActions(rest[8:length]); err != nil {
				return e, err
			}
		default:
			return e, errInstructions
		}
		rest = rest[length:]
	}
	return e, nil
}

// addActions adds the effects of an encoded list of actions.
func (e *effects) addActions(rest []byte) error {
	for len(rest) > 0 {
		if len(rest) < 8 {
			return errInstructions
		}
		length := int(binary.BigEndian.Uint16(rest[2:]))
		if length < 8 || length > len(rest) {
			return errInstructions
		}
		if err := e.addAction(rest[:length]); err != nil {
			return err
		}
		rest = rest[length:]
	}
	return nil
}

// addAction adds the effects of one encoded action.
func (e *effects) addAction(a []byte) error {
	switch binary.BigEndian.Uint16(a) {
	case actionOutput:
		switch binary.BigEndian.Uint32(a[4:]) {
		case flow.PortNormal:
			e.actions |= ActionNormal
		case flow.PortController:
			e.actions |= ActionController
		default:
			e.actions |= ActionOutput
		}
	case actionPushVLAN:
		e.actions |= ActionPushVLAN
	case actionPopVLAN:
		e.actions |= ActionPopVLAN
	case actionSetField:
		return e.addSetField(a[4:])
	case actionExperimenter:
		if len(a) < 16 || binary.BigEndian.Uint32(a[4:]) != nicira {
			return errInstructions
		}
		return e.addNicira(binary.BigEndian.Uint16(a[8:]), a[niciraActionHeader:])
	default:
		return fmt.Errorf("%w: action type %d", errInstructions, binary.BigEndian.Uint16(a))
	}
	return nil
}

// addNicira adds the effects of one Open vSwitch extension action; body is what
// follows the subtype.
func (e *effects) addNicira(subtype uint16, body []byte) error {
	switch {
	case subtype == niciraResubmit:
		e.addNext(body[2])
	case subtype == niciraLearn || subtype == niciraLearn2:
		e.actions |= ActionLearn
	case (subtype == niciraPush || subtype == niciraPop) && flow.Field(binary.BigEndian.Uint32(body[2:])>>9) == flow.FieldInPort16:
		e.actions |= ActionClone
	case subtype == niciraMove || subtype == niciraPush || subtype == niciraPop:
		e.actions |= ActionReverse
	case subtype == niciraConjunction:
		e.actions |= ActionConjunction
	case subtype == niciraTrackClear:
		e.actions |= ActionTrack
	case subtype == niciraTrack && len(body) == 14:
		// Flags, the zone's field and bits, the table to recirculate to; no actions inside.
		e.actions |= ActionTrack
		if table := body[8]; table != noTable {
			e.addNext(table)
		}
	case subtype == niciraSetTunnel64:
		e.actions |= ActionSetTunnel
	case subtype == niciraOutputTrunc:
		e.actions |= ActionClone
	case subtype == niciraClone:
		e.actions |= ActionClone
		return e.addActions(body[6:])
	case subtype == niciraRegLoad && len(body) >= 14:
		offsetBits := binary.BigEndian.Uint16(body)
		low, bits := int(offsetBits>>6), int(offsetBits&0x3f)+1
		return e.addWrite(binary.BigEndian.Uint32(body[2:]), uint32(uint64(1)<<bits-1)<<low)
	case subtype == niciraRegLoad2 && len(body) >= 14:
		return e.addSetField(body[6:])
	default:
		return fmt.Errorf("%w: extension action %d", errInstructions, subtype)
	}
	return nil
}

// addSetField adds the effects of setting one field, given as an OXM TLV.
func (e *effects) addSetField(oxm []byte) error {
	header := binary.BigEndian.Uint32(oxm)
	switch flow.Field(header >> 9) {
	case flow.FieldTunnelID:
		e.actions |= ActionSetTunnel
		return nil
	case flow.FieldVLANVID:
		e.actions |= ActionPushVLAN
		return nil
	}
	mask := uint32(0xffffffff)
	if hasMask := header&0x100 != 0; hasMask {
		if len(oxm) < 12 {
			return errInstructions
		}
		mask = binary.BigEndian.Uint32(oxm[8:])
	}
	return e.addWrite(header, mask)
}

// addWrite notes that the bits of mask of a register are written.
func (e *effects) addWrite(oxmHeader, mask uint32) error {
	if flow.Field(oxmHeader>>9) == flow.FieldInPort16 {
		e.actions |= ActionClone
		return nil
	}
	if slices.Contains(answerFields[:], flow.Field(oxmHeader>>9)) {
		e.actions |= ActionAnswer
		return nil
	}
	register := int(flow.Field(oxmHeader>>9)) - int(flow.FieldReg0)
	if register < 0 || register >= len(e.written) {
		return fmt.Errorf("%w: write to field %#x", errInstructions, oxmHeader)
	}
	e.actions |= ActionLoad
	e.written[register] |= mask
	return nil
}
