package flowcompiler

import (
	"slices"
	"testing"
)

// live lists the tables in which a field holds a value that is still to be read:
// from the first table that writes it to the last that reads it.
func live(r FieldRow) []Table {
	first, last := slices.Min(r.Written), slices.Max(r.Read)
	var tables []Table
	for _, row := range Tables() {
		if first <= row.Table && row.Table <= last {
			tables = append(tables, row.Table)
		}
	}
	return tables
}

func TestFieldsThatShareBitsAreNeverLiveTogether(t *testing.T) {
	t.Parallel()
	rows := Fields()
	for i, a := range rows {
		for _, b := range rows[i+1:] {
			if a.Register != b.Register || a.mask()&b.mask() == 0 {
				continue
			}
			for _, table := range live(a) {
				if slices.Contains(live(b), table) {
					t.Errorf("%s and %s share bits of reg%d, and both are live in %v", a.Name, b.Name, a.Register, table)
				}
			}
		}
	}
}

func TestFieldRowsAreComplete(t *testing.T) {
	t.Parallel()
	for i, r := range Fields() {
		if r.Field != Field(i) {
			t.Errorf("row %d is about field %d", i, r.Field)
		}
		if r.Name == "" || r.Holds == "" || r.Bits < 1 || r.Low+r.Bits > 32 || r.Register >= len(writable) {
			t.Errorf("row %+v", r)
		}
		for _, v := range r.Values {
			if v.Value<<r.Low&^r.mask() != 0 {
				t.Errorf("%s: value %d does not fit into %d bits", r.Name, v.Value, r.Bits)
			}
		}
	}
}

// readOtherwise tells whether a table may read a register by another way than a match:
// the connection tracker is told the zone, and the controller what it needs to know. An
// advertisement is made of what is copied there.
func readOtherwise(row TableRow, register int) bool {
	reads := func(f Field) bool { return fields[f].Register == register }
	return row.Actions&ActionTrack != 0 && reads(FieldZone) ||
		row.Table == TableDenied && (reads(FieldRule) || reads(FieldSubject)) ||
		row.Table == TableAdvertise && (reads(FieldAdvertFlags) || reads(FieldAdvertOption))
}

// TestOnlyDeclaredTablesReadRegisters: what a table's row allows to match, and
// which fields say they are read there, is the same.
func TestOnlyDeclaredTablesReadRegisters(t *testing.T) {
	t.Parallel()
	for _, row := range Tables() {
		for register, bit := range writable {
			matched := row.Match&bit != 0 || readOtherwise(row, register)
			read := slices.ContainsFunc(Fields(), func(r FieldRow) bool { return r.Register == register && slices.Contains(r.Read, row.Table) })
			if matched != read {
				t.Errorf("%v: may match reg%d: %v; has a field that is read there: %v", row.Table, register, matched, read)
			}
		}
		writes := slices.ContainsFunc(Fields(), func(r FieldRow) bool { return slices.Contains(r.Written, row.Table) })
		if writes != (row.Actions&ActionLoad != 0) {
			t.Errorf("%v: may load: %v; has a field that is written there: %v", row.Table, row.Actions&ActionLoad != 0, writes)
		}
	}
}
