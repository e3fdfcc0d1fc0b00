package flowcompiler

// sourceTables are those that look at where a packet comes from: its port and network, what its sender may
// send, and where the sender is. They are never written to.
var sourceTables = [...]TableRow{
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
}

// guardMatch is what the guard of encrypted networks matches.
const guardMatch = MatchEthType | MatchIPProto | MatchIPFrag | MatchIPv4Src | MatchIPv4Dst | MatchIPv6Src | MatchIPv6Dst | MatchUDPDst
