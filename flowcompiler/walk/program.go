package walk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"poolwire/southbound/openflow/flow"
)

// ErrUnsupported says that a flow has something that this package does not evaluate.
var ErrUnsupported = errors.New("not evaluated")

// program is an instruction list, ready to be run.
type program struct {
	actions []operation
	// next is the table of goto_table.
	next    uint8
	hasNext bool
	// conjunctions are the clauses that the flow stands for; there is nothing else to run then.
	conjunctions []clause
}

// clause is one conjunction action.
type clause struct {
	id uint32
	// clause counts from 0.
	clause, clauses uint8
}

// operation is one action.
type operation interface {
	run(x *run)
}

// The instructions that are known (OpenFlow 1.3 section 7.2.4).
const (
	instructionGoto  = 1
	instructionApply = 4
	instructionMeter = 6
)

// parseProgram reads an instruction list. Open vSwitch runs a meter first and
// goto_table last, wherever they stand.
func parseProgram(i flow.Instructions) (*program, error) {
	p := new(program)
	for wire := []byte(i); len(wire) > 0; {
		kind, body, rest, err := cutTyped(wire)
		if err != nil {
			return nil, err
		}
		switch {
		case kind == instructionGoto && len(body) >= 1:
			p.next, p.hasNext = body[0], true
		case kind == instructionApply && len(body) >= 4:
			actions, err := p.parseActions(body[4:])
			if err != nil {
				return nil, err
			}
			p.actions = append(p.actions, actions...)
		case kind == instructionMeter && len(body) >= 4:
			p.actions = append([]operation{meter(binary.BigEndian.Uint32(body))}, p.actions...)
		default:
			return nil, fmt.Errorf("%w: instruction %d", ErrUnsupported, kind)
		}
		wire = rest
	}
	if len(p.conjunctions) > 0 && (len(p.actions) > 0 || p.hasNext) {
		return nil, fmt.Errorf("%w: a conjunction beside other actions", ErrUnsupported)
	}
	return p, nil
}

// cutTyped takes the first instruction or action off: type, length, body.
func cutTyped(wire []byte) (kind uint16, body, rest []byte, err error) {
	if len(wire) < 8 {
		return 0, nil, nil, fmt.Errorf("%w: an action of %d bytes", flow.ErrMalformed, len(wire))
	}
	n := int(binary.BigEndian.Uint16(wire[2:]))
	if n < 8 || n > len(wire) {
		return 0, nil, nil, fmt.Errorf("%w: an action of %d bytes, %d left", flow.ErrMalformed, n, len(wire))
	}
	return binary.BigEndian.Uint16(wire), wire[4:n], wire[n:], nil
}

// The actions that are known (OpenFlow 1.3 section 7.2.5).
const (
	actionOutput     = 0
	actionPushVLAN   = 17
	actionPopVLAN    = 18
	actionSetField   = 25
	actionVendor     = 0xffff
	vendorNicira     = 0x2320
	vendorHeaderLen  = 6
	etherTypeService = 0x88a8
)

// parseActions reads a list of actions.
func (p *program) parseActions(wire []byte) ([]operation, error) {
	var list []operation
	for len(wire) > 0 {
		kind, body, rest, err := cutTyped(wire)
		if err != nil {
			return nil, err
		}
		op, err := p.parseAction(kind, body)
		if err != nil {
			return nil, err
		}
		if op != nil {
			list = append(list, op)
		}
		wire = rest
	}
	return list, nil
}

// parseAction reads one action, whose body follows type and length. A conjunction is
// noted and is no operation.
func (p *program) parseAction(kind uint16, body []byte) (operation, error) {
	switch {
	case kind == actionOutput && len(body) >= 6:
		return output(binary.BigEndian.Uint32(body)), nil
	case kind == actionPushVLAN && binary.BigEndian.Uint16(body) != etherTypeService:
		return pushVLAN{}, nil
	case kind == actionPopVLAN:
		return popVLAN{}, nil
	case kind == actionSetField:
		return parseSetField(body)
	case kind == actionVendor && len(body) >= vendorHeaderLen && binary.BigEndian.Uint32(body) == vendorNicira:
		return p.parseNicira(binary.BigEndian.Uint16(body[4:]), body[vendorHeaderLen:])
	}
	return nil, fmt.Errorf("%w: action %d", ErrUnsupported, kind)
}

// parseSetField reads one TLV without a mask.
func parseSetField(body []byte) (operation, error) {
	t, _, err := cutTLV(body)
	if err != nil {
		return nil, err
	}
	list, err := t.conditions(nil)
	if err != nil {
		return nil, err
	}
	return setField(list), nil
}
