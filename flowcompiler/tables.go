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

// tables is the pipeline. It is never written to.
var tables = [...]TableRow{
	{
		Table: TableClassify, Name: "classify",
		Decides: "which port a packet comes from. The only table shared with other programs: all priorities here are above theirs",
		Match:   MatchInPort | MatchTunnelID | guardMatch,
		Next:    []Table{TableVLAN, TableSpoofGuard, TableLearn, TableDestination, TableForward},
		Actions: ActionLoad | ActionMeter | ActionController | ActionClone,
		Bands:   []Band{bandClassifyGuard, bandClassifyPort, bandClassifyLocal, bandClassifyDefault},
		Miss:    "never reached: the default of this table drops, or forwards where unclassified ports are admitted",
	},
	{
		Table: TableVLAN, Name: "vlan",
		Decides: "which network a packet belongs to, where one port carries several: uplinks, the bridge's own port, VIFs on the untagged network",
		Match:   MatchReg0 | MatchEthDst | MatchVLAN,
		Next:    []Table{TableSpoofGuard, TableForward},
		Actions: ActionLoad,
		Bands:   []Band{bandVLANHost, bandVLANTag, bandMiss},
		Miss:    "a VLAN without a network: on to spoof_guard, as no network's packet",
	},
	{
		Table: TableSpoofGuard, Name: "spoof_guard",
		Decides: "port locking: may this locked VIF send from this MAC and IP address, this isolated one from this MAC address?",
		Match: MatchReg0 | MatchReg1 | MatchEthSrc | MatchEthType | MatchIPProto | MatchIPv4Src | MatchIPv4Dst | MatchIPv6Src |
			MatchIPv6Dst | MatchUDPSrc | MatchUDPDst | MatchICMPv6Type | MatchICMPv6Code | MatchARPSPA | MatchARPSHA | MatchNDTarget |
			MatchNDSLL | MatchNDTLL,
		Next:  []Table{TableGuestGuard},
		Bands: []Band{bandGuardUnlocked, bandGuardMalformed, bandGuardND, bandGuardReserved, bandGuardAddress, bandMiss},
		Miss:  "drop",
	},
	{
		Table: TableGuestGuard, Name: "guest_guard",
		Decides: "what a guest must not send whatever its address: VLAN tags it has no part in, router advertisements, DHCP answers",
		Match: MatchReg0 | MatchReg1 | MatchReg2 | MatchEthType | MatchVLAN | MatchIPProto | MatchUDPSrc | MatchUDPDst |
			MatchICMPv6Type,
		Next:  []Table{TableOutState},
		Bands: []Band{bandGuestNested, bandGuestService, bandGuestExempt, bandGuestTagged, bandMiss},
		Miss:  "on to out_state",
	},
	{
		Table: TableOutState, Name: "out_state",
		Decides: "to which connection of a tracked VIF a packet belongs that it sends",
		Match:   MatchReg0 | MatchEthType | MatchIPProto | MatchICMPv6Type,
		Next:    []Table{TableFromVIF},
		Actions: ActionTrack,
		Bands:   []Band{bandStateNeighbor, bandStateTrack, bandMiss},
		Miss:    "on to from_vif, untracked",
	},
	{
		Table: TableFromVIF, Name: "from_vif",
		Decides: "rules of XCP-ng's form on what a VIF sends, and network-wide ones on what enters a network",
		Match: MatchReg3 | MatchEthType | MatchIPProto | MatchIPv4Src | MatchIPv4Dst | MatchIPv6Src | MatchIPv6Dst |
			MatchTCPSrc | MatchTCPDst | MatchUDPSrc | MatchUDPDst | MatchARPSPA | MatchARPTPA,
		Next:    []Table{TableFromTrunk, TableOutPolicy},
		Actions: ActionLoad,
		Bands:   []Band{bandRule, bandMiss},
		Miss:    "on to from_trunk",
	},
	{
		Table: TableFromTrunk, Name: "from_trunk",
		Decides: "network-wide rules of the VLAN that a VIF with rules of its own has tagged a packet into",
		Match: MatchReg0 | MatchEthType | MatchVLAN | MatchIPProto | MatchIPv4Src | MatchIPv4Dst | MatchIPv6Src | MatchIPv6Dst |
			MatchTCPSrc | MatchTCPDst | MatchUDPSrc | MatchUDPDst | MatchARPSPA | MatchARPTPA,
		Next:    []Table{TableOutPolicy},
		Actions: ActionLoad,
		Bands:   []Band{bandRule, bandMiss},
		Miss:    "on to out_policy",
	},
	{
		Table: TableOutPolicy, Name: "out_policy",
		Decides: "which list judges what a policed VIF sends: its outbound rules, or for a reply the inbound ones that let the connection in",
		Match:   MatchReg0 | MatchReg11 | MatchEthType | MatchIPProto | MatchICMPv6Type | MatchCTState,
		Next:    []Table{TableOutVerdict, TableLearn, TableHostDelivery, TableMandatoryOut, TableMandatoryIn},
		Actions: ActionLoad,
		Bands:   []Band{bandPolicyNone, bandPolicyNeighbor, bandPolicyRelated, bandPolicyReply, bandMiss},
		Miss:    "the subject's outbound rules, then out_verdict",
	},
	{
		Table: TableOutVerdict, Name: "out_verdict",
		Decides: "carries out what the policy said of a packet that a VIF sends",
		Match:   MatchReg0 | MatchReg11 | MatchEthType | MatchCTState,
		Next:    []Table{TableLearn, TableDenied},
		Actions: ActionTrack,
		Bands:   []Band{bandVerdict, bandVerdictInvalid, bandMiss},
		Miss:    "no rule: on to learn",
	},
	{
		Table: TableLearn, Name: "learn",
		Decides: "whether to remember the sender's MAC address; whether a sender on another host is isolated",
		Match:   MatchInPort | MatchReg0 | MatchReg1 | MatchReg2 | MatchEthSrc,
		Next:    []Table{TableAdmit, TableNeighbor, TableDestination, TableLearned},
		Actions: ActionLearn | ActionReverse | ActionLoad,
		Bands:   []Band{bandLearnHost, bandLearnNever, bandLearnPeer, bandLearnKnown, bandLearn, bandMiss},
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
		Table: TableNeighbor, Name: "neighbor",
		Decides: "private networks: does a VIF ask, by ARP or neighbour discovery, for the address of another, which can be answered here in its place?",
		Match: MatchReg0 | MatchReg1 | MatchReg2 | MatchEthType | MatchVLAN | MatchARPOp | MatchARPSPA | MatchARPTPA |
			MatchIPProto | MatchIPTTL | MatchIPv6Src | MatchICMPv6Type | MatchICMPv6Code | MatchNDTarget | MatchNDSLL,
		Next:    []Table{TableAdvertise, TableDestination},
		Actions: ActionReverse | ActionAnswer | ActionOutput,
		Bands:   []Band{bandNeighborNever, bandNeighborOwn, bandNeighborAnswer, bandMiss},
		Miss:    "on to destination",
	},
	{
		Table: TableAdvertise, Name: "advertise",
		Decides: "what else makes a neighbour solicitation the advertisement that answers it: what may be written only into one",
		Match:   MatchEthType | MatchIPProto | MatchICMPv6Type,
		Actions: ActionLoad | ActionReverse | ActionOutput,
		Bands:   []Band{bandAdvertise},
		Miss:    "drop",
	},
	{
		Table: TableDestination, Name: "destination",
		Decides: "which VIF, or which other host, a packet is for",
		Match:   MatchReg0 | MatchReg2 | MatchReg5 | MatchEthDst,
		Next:    []Table{TableMulticast, TableLearned, TableDeliver, TableFlood, TableInState, TableToVIF, TableForward, TableTunnelOut},
		Actions: ActionLoad | ActionOutput,
		Bands: []Band{bandDestinationArrived, bandDestinationReserved, bandDestinationGroup, bandDestinationHost, bandDestinationMAC,
			bandDestinationTrunk, bandDestinationNetwork, bandDestinationFromHost, bandMiss},
		Miss: "look the MAC address up in learned, then on to to_vif",
	},
	{
		Table: TableMulticast, Name: "multicast",
		Decides: "private networks: who listens to a multicast group, and where reports of who listens go",
		Match:   MatchReg2 | MatchReg5 | MatchEthSrc | MatchEthDst | MatchEthType | MatchVLAN | MatchIPProto | MatchICMPv6Type,
		Next:    []Table{TableReports, TableDeliver, TableInState, TableTunnelOut},
		Actions: ActionLoad | ActionOutput | ActionClone | ActionSetTunnel,
		Bands: []Band{bandMulticastTagged, bandMulticastQuery, bandMulticastReport, bandMulticastFlooded, bandMulticastGroup,
			bandMulticastOther, bandMiss},
		Miss: "to everyone",
	},
	{
		Table: TableReports, Name: "reports",
		Decides: "private networks: reports of a VIF of this host, to the controller; entered by resubmit",
		Match:   MatchReg1,
		Actions: ActionController | ActionMeter,
		Bands:   []Band{bandReports, bandMiss},
		Miss:    "back to where it came from",
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
		Next:    []Table{TableFlood, TableInState, TableToVIF, TableForward},
		Actions: ActionLoad | ActionOutput,
		Bands:   []Band{bandDeliverKnown, bandDeliverFlood, bandMiss},
		Miss:    "drop",
	},
	{
		Table: TableFlood, Name: "flood",
		Decides: "one page of the ports that get a copy: all on a private network, those of guarded VIFs on an external one; entered by resubmit",
		Match:   MatchReg2 | MatchReg6,
		Next:    []Table{TableInState, TableToVIF, TableForward},
		Actions: ActionLoad | ActionOutput | ActionClone,
		Bands:   []Band{bandFlood, bandMiss},
		Miss:    "no copy",
	},
	{
		Table: TableInState, Name: "in_state",
		Decides: "for a VIF with a policy or restricted to some senders: may it hear this one, and whose policy is walked?",
		Match:   MatchReg0 | MatchReg1 | MatchReg4 | MatchEthSrc | MatchEthType,
		Next:    []Table{TableInTrack, TableToVIF},
		Actions: ActionLoad,
		Bands:   []Band{bandInOwn, bandInCommunity, bandInRestricted, bandInSubject, bandMiss},
		Miss:    "on to to_vif, as what no policy applies to",
	},
	{
		Table: TableInTrack, Name: "in_track",
		Decides: "to which connection of a tracked VIF a packet belongs that reaches it",
		Match:   MatchEthType | MatchIPProto | MatchICMPv6Type,
		Next:    []Table{TableToVIF},
		Actions: ActionTrack,
		Bands:   []Band{bandStateNeighbor, bandStateTrack, bandMiss},
		Miss:    "on to to_vif, untracked",
	},
	{
		Table: TableToVIF, Name: "to_vif",
		Decides: "rules of XCP-ng's form on what reaches a VIF",
		Match: MatchReg4 | MatchEthType | MatchIPProto | MatchIPv4Src | MatchIPv6Src |
			MatchTCPSrc | MatchUDPSrc | MatchARPSPA,
		Next:    []Table{TableInPolicy},
		Actions: ActionLoad,
		Bands:   []Band{bandRule, bandMiss},
		Miss:    "on to in_policy",
	},
	{
		Table: TableInPolicy, Name: "in_policy",
		Decides: "which list judges what reaches a policed VIF: its inbound rules, or for a reply the outbound ones that let the connection out",
		Match:   MatchReg0 | MatchReg11 | MatchEthType | MatchIPProto | MatchICMPv6Type | MatchCTState,
		Next:    []Table{TableInVerdict, TableDenied, TableForward, TableMandatoryOut, TableMandatoryIn},
		Actions: ActionLoad,
		Bands:   []Band{bandPolicyNone, bandPolicyNeighbor, bandPolicyRelated, bandPolicyReply, bandMiss},
		Miss:    "the subject's inbound rules, then in_verdict",
	},
	{
		Table: TableInVerdict, Name: "in_verdict",
		Decides: "carries out what the policy said of a packet that reaches a VIF",
		Match:   MatchReg0 | MatchReg11 | MatchEthType | MatchCTState,
		Next:    []Table{TableDenied, TableForward},
		Actions: ActionTrack,
		Bands:   []Band{bandVerdict, bandVerdictInvalid, bandMiss},
		Miss:    "no rule: on to forward",
	},
	{
		Table: TableHostDelivery, Name: "host_delivery",
		Decides: "what a network-wide rule denies: multicast from an uplink still reaches the host itself",
		Match:   MatchReg0 | MatchReg2 | MatchEthSrc | MatchEthDst | MatchVLAN,
		Next:    []Table{TableDenied},
		Actions: ActionOutput | ActionPopVLAN,
		Bands:   []Band{bandHostReflected, bandHostDelivery, bandMiss},
		Miss:    "on to denied",
	},
	{
		Table: TableDenied, Name: "denied",
		Decides: "the end of what a rule denies: a sample goes to the controller, which logs it, and answers what is rejected",
		Match:   MatchReg0,
		Actions: ActionController | ActionMeter,
		Bands:   []Band{bandDeniedCopy, bandDeniedReject, bandMiss},
		Miss:    "drop, after a sample for the log",
	},
	{
		Table: TableForward, Name: "forward",
		Decides: "the way out: the switch's own forwarding on external networks, one port on private ones",
		Match:   MatchReg0 | MatchReg2 | MatchReg4 | MatchVLAN,
		Actions: ActionOutput | ActionNormal | ActionPopVLAN | ActionPushVLAN | ActionMeter,
		Bands:   []Band{bandForwardCopy, bandForwardPort, bandForwardPrivate, bandMiss},
		Miss:    "NORMAL; drop on bridges of private networks and on the overlay bridge",
	},
	{
		Table: TableTunnelOut, Name: "tunnel_out",
		Decides: "overlay bridge: the tunnel towards the host that has the MAC address, or the tunnels towards all member hosts",
		Match:   MatchReg2 | MatchReg5,
		Actions: ActionOutput | ActionSetTunnel,
		Bands:   []Band{bandTunnelHost, bandTunnelFlood, bandMiss},
		Miss:    "drop",
	},
	{
		Table: TableMandatoryOut, Name: "mandatory_out",
		Decides: "mandatory rules on the connections that the subject opens, from the outside in; entered by resubmit",
		Match:   ruleMatch | MatchReg0, Next: []Table{TableDefaultOut}, Actions: ActionLoad | ActionConjunction,
		Bands: []Band{bandGlobalMandatory, bandPoolMandatory, bandNetworkMandatory, bandGroupMandatory, bandVIFMandatory, bandCompat, bandMiss},
		Miss:  "on to default_out",
	},
	{
		Table: TableDefaultOut, Name: "default_out",
		Decides: "default rules on the connections that the subject opens, from the inside out, then its network's default action",
		Match:   ruleMatch | MatchReg0, Actions: ActionLoad | ActionConjunction,
		Bands: []Band{bandVIFDefault, bandGroupDefault, bandNetworkDefault, bandPoolDefault, bandGlobalDefault, bandExempt, bandDefaultAction, bandMiss},
		Miss:  "nothing is said",
	},
	{
		Table: TableMandatoryIn, Name: "mandatory_in",
		Decides: "mandatory rules on the connections that others open to the subject, from the outside in; entered by resubmit",
		Match:   ruleMatch | MatchReg0, Next: []Table{TableDefaultIn}, Actions: ActionLoad | ActionConjunction,
		Bands: []Band{bandGlobalMandatory, bandPoolMandatory, bandNetworkMandatory, bandGroupMandatory, bandVIFMandatory, bandCompat, bandMiss},
		Miss:  "on to default_in",
	},
	{
		Table: TableDefaultIn, Name: "default_in",
		Decides: "default rules on the connections that others open to the subject, from the inside out, then its network's default action",
		Match:   ruleMatch | MatchReg0, Actions: ActionLoad | ActionConjunction,
		Bands: []Band{bandVIFDefault, bandGroupDefault, bandNetworkDefault, bandPoolDefault, bandGlobalDefault, bandExempt, bandDefaultAction, bandMiss},
		Miss:  "nothing is said",
	},
}

// guardMatch is what the guard of encrypted networks matches.
const guardMatch = MatchEthType | MatchIPProto | MatchIPFrag | MatchIPv4Src | MatchIPv4Dst | MatchIPv6Src | MatchIPv6Dst | MatchUDPDst

// ruleMatch is what policy rules match: whose policy it is, the connection where one is
// tracked, else the packet.
const ruleMatch = MatchReg2 | MatchReg8 | MatchReg9 | MatchReg10 | MatchReg11 | MatchEthSrc | MatchEthDst | MatchEthType | MatchVLAN | MatchIPProto |
	MatchIPv4Src | MatchIPv4Dst | MatchIPv6Src | MatchIPv6Dst | MatchTCPSrc | MatchTCPDst | MatchUDPSrc | MatchUDPDst |
	MatchIPFrag | MatchSCTPSrc | MatchSCTPDst | MatchICMPv4Type | MatchICMPv4Code | MatchICMPv6Type | MatchICMPv6Code | MatchARPSPA | MatchARPTPA |
	MatchCTState | MatchCTProto | MatchCTIPv4Src | MatchCTIPv4Dst | MatchCTIPv6Src | MatchCTIPv6Dst | MatchCTPortSrc | MatchCTPortDst |
	MatchConjID

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
