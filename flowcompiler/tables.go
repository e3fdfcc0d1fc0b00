package flowcompiler

import (
	"slices"
	"strconv"
)

// Table is the number of an OpenFlow table. Numbers are stored on switches
// longer than any process lives: they are never reused or shifted, and gaps are
// left for tables to come.
type Table uint8

// The tables, in the order in which a packet meets them. A packet only ever
// moves to a higher number.
const (
	TableClassify     Table = 0
	TableVLAN         Table = 5
	TableSpoofGuard   Table = 10
	TableGuestGuard   Table = 12
	TableOutState     Table = 14
	TableFromVIF      Table = 20
	TableFromTrunk    Table = 22
	TableOutPolicy    Table = 23
	TableOutVerdict   Table = 24
	TableLearn        Table = 25
	TableAdmit        Table = 27
	TableNeighbor     Table = 28
	TableAdvertise    Table = 29
	TableDestination  Table = 30
	TableMulticast    Table = 32
	TableReports      Table = 33
	TableLearned      Table = 35
	TableDeliver      Table = 36
	TableFlood        Table = 37
	TableInState      Table = 38
	TableInTrack      Table = 39
	TableToVIF        Table = 40
	TableInPolicy     Table = 41
	TableInVerdict    Table = 42
	TableHostDelivery Table = 45
	TableDenied       Table = 48
	TableForward      Table = 50
	TableTunnelOut    Table = 60
	TableMandatoryOut Table = 70
	TableDefaultOut   Table = 71
	TableMandatoryIn  Table = 75
	TableDefaultIn    Table = 76
)

// TableRow declares one table. Every flow the compiler makes is checked against
// the row of its table; a flow that breaks it is an error of Commit.
type TableRow struct {
	Table Table
	// Name is the table's name on the wire (Flow_Table.name in OVSDB).
	Name string
	// Decides says, in a few words, what is decided here.
	Decides string
	// Match lists the fields a flow of this table may match.
	Match MatchFields
	// Next lists the tables a flow of this table may go to or resubmit to.
	// All are higher than Table.
	Next []Table
	// Actions lists what a flow may do besides moving on.
	Actions ActionSet
	// Bands lists the priorities a flow of this table may have.
	Bands []Band
	// Miss says what becomes of a packet that nothing else matches.
	Miss string
}

// tables is the pipeline, in packet order: the lists of rules, which others resubmit to, come last. It is never
// written to.
var tables = slices.Concat(sourceTables[:], destinationTables[:], policyTables[:])

// Tables returns the rows of all tables in packet order.
func Tables() []TableRow { return slices.Clone(tables) }

// TableNames returns the wire name of every table, as set in OVSDB.
func TableNames() map[uint8]string {
	names := make(map[uint8]string, len(tables))
	for _, row := range tables {
		names[uint8(row.Table)] = row.Name
	}
	return names
}

// String returns the table's wire name, or its number when there is no such
// table.
func (t Table) String() string {
	if row := t.row(); row != nil {
		return row.Name
	}
	return "table" + strconv.Itoa(int(t))
}

// Row returns the table's declaration; the zero row when there is no such table.
func (t Table) Row() TableRow {
	if row := t.row(); row != nil {
		return *row
	}
	return TableRow{}
}

// row returns the table's declaration, nil when there is none.
func (t Table) row() *TableRow {
	for i := range tables {
		if tables[i].Table == t {
			return &tables[i]
		}
	}
	return nil
}
