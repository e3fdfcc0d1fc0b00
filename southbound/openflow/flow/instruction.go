package flow

import (
	of "github.com/contiv/libOpenflow/openflow13"
)

// encodedAction lets an [Action] be an element of libOpenflow's instructions,
// which ask their actions for nothing but length and bytes.
type encodedAction struct {
	of.ActionHeader
	wire Action
}

// Len returns the length of the encoding in bytes.
func (a *encodedAction) Len() uint16 { return uint16(len(a.wire)) }

// MarshalBinary returns the encoding.
func (a *encodedAction) MarshalBinary() ([]byte, error) { return []byte(a.wire), nil }

// Apply returns instructions that run the actions in order. Without actions
// it returns no instructions, which drops the packet.
//
// The encoding must stay below 64 KiB (about 4000 outputs); see [Flow.Encodable].
func Apply(actions ...Action) Instructions {
	joined := Actions(actions...)
	if joined == "" {
		return ""
	}
	apply := of.NewInstrApplyActions()
	// AddAction never fails on this instruction.
	_ = apply.AddAction(&encodedAction{wire: joined}, false)
	return Instructions(marshal(apply))
}

// ApplyGoto returns instructions that run the actions, if any, and continue
// in a later table.
func ApplyGoto(table uint8, actions ...Action) Instructions {
	return Apply(actions...) + Goto(table)
}

// Goto returns instructions that continue in a later table.
func Goto(table uint8) Instructions {
	return Instructions(marshal(of.NewInstrGotoTable(table)))
}
