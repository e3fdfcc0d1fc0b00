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
	TableFromVIF      Table = 20
	TableFromTrunk    Table = 22
	TableLearn        Table = 25
	TableAdmit        Table = 27
	TableDestination  Table = 30
	TableLearned      Table = 35
	TableDeliver      Table = 36
	TableFlood        Table = 37
	TableToVIF        Table = 40
	TableHostDelivery Table = 45
	TableForward      Table = 50
	TableTunnelOut    Table = 60
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

// tables is the pipeline. It is never written to.
var tables = [...]TableRow{
	{
		Table: TableClassify, Name: "classify",
		Decides: "which port a packet comes from. The only table shared with other programs: all priorities here are above theirs",
		Match:   MatchInPort | MatchTunnelID,
		Next:    []Table{TableVLAN, TableSpoofGuard, TableFromVIF, TableLearn, TableDestination, TableForward},
		Actions: ActionLoad,
		Bands:   []Band{bandClassifyPort, bandClassifyLocal, bandClassifyDefault},
		Miss:    "never reached: the default of this table drops, or forwards where unclassified ports are admitted",
	},
	{
		Table: TableVLAN, Name: "vlan",
		Decides: "which network a packet belongs to, where one port carries several: uplinks, the bridge's own port, VIFs on the untagged network",
		Match:   MatchReg0 | MatchEthDst | MatchVLAN,
		Next:    []Table{TableFromVIF, TableForward},
		Actions: ActionLoad,
		Bands:   []Band{bandVLANHost, bandVLANTag, bandMiss},
		Miss:    "a VLAN without a network: on to from_vif, as no network's packet",
	},
	{
		Table: TableSpoofGuard, Name: "spoof_guard",
		Decides: "port locking: may this locked VIF send from this MAC and IP address?",
		Match: MatchReg1 | MatchEthSrc | MatchEthType | MatchVLAN | MatchIPProto | MatchIPv4Src | MatchIPv6Src | MatchUDPSrc | MatchUDPDst |
			MatchICMPv6Type | MatchICMPv6Code | MatchARPSPA | MatchARPSHA | MatchNDTarget | MatchNDSLL | MatchNDTLL,
		Next:  []Table{TableFromVIF},
		Bands: []Band{bandGuardTagged, bandGuardMalformed, bandGuardND, bandGuardReserved, bandGuardAddress, bandMiss},
		Miss:  "drop",
	},
	{
		Table: TableFromVIF, Name: "from_vif",
		Decides: "rules on what a VIF sends, and network-wide rules on what enters a network",
		Match: MatchReg3 | MatchEthType | MatchIPProto | MatchIPv4Src | MatchIPv4Dst | MatchIPv6Src | MatchIPv6Dst |
			MatchTCPSrc | MatchTCPDst | MatchUDPSrc | MatchUDPDst | MatchARPSPA | MatchARPTPA,
		Next:  []Table{TableFromTrunk, TableLearn, TableHostDelivery},
		Bands: []Band{bandRule, bandMiss},
		Miss:  "on to from_trunk",
	},
	{
		Table: TableFromTrunk, Name: "from_trunk",
		Decides: "network-wide rules of the VLAN that a VIF with rules of its own has tagged a packet into",
		Match: MatchReg0 | MatchEthType | MatchVLAN | MatchIPProto | MatchIPv4Src | MatchIPv4Dst | MatchIPv6Src | MatchIPv6Dst |
			MatchTCPSrc | MatchTCPDst | MatchUDPSrc | MatchUDPDst | MatchARPSPA | MatchARPTPA,
		Next:  []Table{TableLearn},
		Bands: []Band{bandRule, bandMiss},
		Miss:  "on to learn",
	},
	{
		Table: TableLearn, Name: "learn",
		Decides: "whether to remember the sender's MAC address",
		Match:   MatchReg0 | MatchReg1 | MatchReg2 | MatchEthSrc,
		Next:    []Table{TableAdmit, TableDestination, TableLearned, TableForward},
		Actions: ActionLearn | ActionReverse,
		Bands:   []Band{bandLearnHost, bandLearnNever, bandLearnKnown, bandLearn, bandMiss},
		Miss:    "on to destination, nothing learned",
	},
	{
		Table: TableAdmit, Name: "admit",
		Decides: "external networks, VIFs with inbound rules: may they send from this address? Only when it is remembered",
		Match:   MatchReg1 | MatchReg2 | MatchReg4 | MatchEthSrc,
		Next:    []Table{TableDestination},
		Actions: ActionLoad,
		Bands:   []Band{bandAdmitNever, bandAdmit, bandMiss},
		Miss:    "drop; where the switch cannot limit what it learns, on to destination",
	},
	{
		Table: TableDestination, Name: "destination",
		Decides: "which VIF, or which other host, a packet is for",
		Match:   MatchReg0 | MatchReg2 | MatchEthDst,
		Next:    []Table{TableLearned, TableDeliver, TableToVIF, TableForward, TableTunnelOut},
		Actions: ActionLoad | ActionOutput,
		Bands: []Band{bandDestinationReserved, bandDestinationGroup, bandDestinationHost, bandDestinationMAC,
			bandDestinationTrunk, bandDestinationNetwork, bandDestinationFromHost, bandMiss},
		Miss: "look the MAC address up in learned, then on to to_vif",
	},
	{
		Table: TableLearned, Name: "learned",
		Decides: "MAC addresses learned by the switch itself; entered by resubmit, holds no flow of the compiler's",
		Match:   MatchReg2 | MatchEthDst,
		Actions: ActionLoad,
		Bands:   []Band{bandLearned},
		Miss:    "back to where it came from",
	},
	{
		Table: TableDeliver, Name: "deliver",
		Decides: "private networks: to the VIF found, to another host, or to everyone",
		Match:   MatchReg2 | MatchReg4,
		Next:    []Table{TableFlood, TableToVIF},
		Actions: ActionLoad | ActionOutput,
		Bands:   []Band{bandDeliverKnown, bandDeliverFlood, bandMiss},
		Miss:    "drop",
	},
	{
		Table: TableFlood, Name: "flood",
		Decides: "private networks: one page of the ports that get a copy; entered by resubmit",
		Match:   MatchReg2 | MatchReg6,
		Next:    []Table{TableToVIF},
		Actions: ActionLoad | ActionOutput,
		Bands:   []Band{bandFlood, bandMiss},
		Miss:    "no copy",
	},
	{
		Table: TableToVIF, Name: "to_vif",
		Decides: "rules on what reaches a VIF",
		Match: MatchReg4 | MatchEthType | MatchIPProto | MatchIPv4Src | MatchIPv6Src |
			MatchTCPSrc | MatchUDPSrc | MatchARPSPA,
		Next:  []Table{TableForward},
		Bands: []Band{bandRule, bandMiss},
		Miss:  "on to forward",
	},
	{
		Table: TableHostDelivery, Name: "host_delivery",
		Decides: "what a network-wide rule denies: multicast from an uplink still reaches the host itself, the rest is dropped",
		Match:   MatchReg0 | MatchReg2 | MatchEthSrc | MatchEthDst | MatchVLAN,
		Actions: ActionOutput | ActionPopVLAN,
		Bands:   []Band{bandHostReflected, bandHostDelivery, bandMiss},
		Miss:    "drop",
	},
	{
		Table: TableForward, Name: "forward",
		Decides: "the way out: the switch's own forwarding on external networks, one port on private ones",
		Match:   MatchReg0 | MatchReg2 | MatchReg4,
		Actions: ActionOutput | ActionNormal,
		Bands:   []Band{bandForwardPort, bandForwardPrivate, bandMiss},
		Miss:    "NORMAL; drop on bridges of private networks and on the overlay bridge",
	},
	{
		Table: TableTunnelOut, Name: "tunnel_out",
		Decides: "overlay bridge: the tunnel of the host that has the MAC address, or the tunnels of all member hosts",
		Match:   MatchReg2 | MatchReg5,
		Actions: ActionOutput | ActionSetTunnel,
		Bands:   []Band{bandTunnelHost, bandTunnelFlood, bandMiss},
		Miss:    "drop",
	},
}

// Tables returns the rows of all tables in packet order.
func Tables() []TableRow { return slices.Clone(tables[:]) }

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

// row returns the table's declaration, nil when there is none.
func (t Table) row() *TableRow {
	for i := range tables {
		if tables[i].Table == t {
			return &tables[i]
		}
	}
	return nil
}
