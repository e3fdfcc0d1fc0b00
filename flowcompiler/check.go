package flowcompiler

import (
	"errors"
	"fmt"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// RowError says that a flow breaks the declaration of its table. It is always a
// fault of the compiler, never of what it was given.
type RowError struct {
	Flow   flow.Flow
	Reason string
}

// Error names the flow and what is wrong with it.
func (e *RowError) Error() string {
	return fmt.Sprintf("flow breaks the declaration of table %v: %s: %v", Table(e.Flow.Table), e.Reason, e.Flow)
}

// ErrTooLong says that a flow's instructions do not fit into one flow mod: a
// private network has too many member hosts.
var ErrTooLong = errors.New("instructions longer than a flow mod can hold")

// maxInstructions leaves room for the header and the largest match in a message
// whose length has 16 bits.
const maxInstructions = 65535 - 4096

// check holds a flow against the row of its table and the register map.
func check(f flow.Flow) error {
	row := Table(f.Table).row()
	if row == nil {
		return &RowError{f, "no such table"}
	}
	if len(f.Instructions) > maxInstructions {
		return fmt.Errorf("%w: %d bytes in table %v", ErrTooLong, len(f.Instructions), row.Name)
	}
	if !slices.ContainsFunc(row.Bands, func(b Band) bool { return b.contains(f.Priority) }) {
		return &RowError{f, fmt.Sprintf("priority %d is in none of its bands", f.Priority)}
	}
	matched, err := fieldsOf(f.Match)
	if err != nil {
		return &RowError{f, err.Error()}
	}
	if extra := matched &^ row.Match; extra != 0 {
		return &RowError{f, "match on " + extra.String()}
	}
	e, err := effectsOf(f.Instructions)
	if err != nil {
		return &RowError{f, err.Error()}
	}
	if extra := e.actions &^ row.Actions; extra != 0 {
		return &RowError{f, "action " + extra.String()}
	}
	for _, next := range row.Next {
		e.next[next/64] &^= 1 << (next % 64)
	}
	if e.next != [len(e.next)]uint64{} {
		return &RowError{f, "goes to a table that is not one of its next"}
	}
	return checkRegisters(f, row.Table, e)
}

// checkRegisters holds the registers that a flow writes against the register map.
func checkRegisters(f flow.Flow, table Table, e effects) error {
	if e.actions&ActionLoad == 0 {
		return nil
	}
	for i := range fields {
		if slices.Contains(fields[i].Written, table) {
			e.written[fields[i].Register] &^= fields[i].mask()
		}
	}
	for register, bits := range e.written {
		if bits != 0 {
			return &RowError{f, fmt.Sprintf("writes bits %#x of reg%d", bits, register)}
		}
	}
	return nil
}
