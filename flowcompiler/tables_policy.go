package flowcompiler

// policyTables are the lists of policy rules that out_policy and in_policy walk. They are never written to.
var policyTables = [...]TableRow{
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

// ruleMatch is what policy rules match: whose policy it is, the connection where one is
// tracked, else the packet.
const ruleMatch = MatchReg2 | MatchReg8 | MatchReg9 | MatchReg10 | MatchReg11 | MatchEthSrc | MatchEthDst | MatchEthType | MatchVLAN | MatchIPProto |
	MatchIPv4Src | MatchIPv4Dst | MatchIPv6Src | MatchIPv6Dst | MatchTCPSrc | MatchTCPDst | MatchUDPSrc | MatchUDPDst |
	MatchIPFrag | MatchSCTPSrc | MatchSCTPDst | MatchICMPv4Type | MatchICMPv4Code | MatchICMPv6Type | MatchICMPv6Code | MatchARPSPA | MatchARPTPA |
	MatchCTState | MatchCTProto | MatchCTIPv4Src | MatchCTIPv4Dst | MatchCTIPv6Src | MatchCTIPv6Dst | MatchCTPortSrc | MatchCTPortDst |
	MatchConjID
