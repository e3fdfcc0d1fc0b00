package flowcompiler

import "poolwire/southbound/openflow/flow"

// Band is a range of priorities with one purpose. Bands of one table do not
// overlap, except that a band may be a single priority.
type Band struct {
	Low, High uint16
	// Purpose says which flows live in the band.
	Purpose string
}

// contains tells whether a flow of the given priority lives in the band.
func (b Band) contains(priority uint16) bool { return b.Low <= priority && priority <= b.High }

// bandMiss holds the flow for packets that nothing else in a table matches. The
// compiler writes it out although OpenFlow 1.3 drops on a miss: a bridge that
// also talks OpenFlow 1.0 would send the packet to that controller instead.
var bandMiss = Band{0, 0, "nothing else matched"}

// Table classify is shared. XAPI's own locking flows have priorities 4000 to
// 8000, rules of XO and of the sdncontroller plugin default to 32768, and the
// plugin lets a user choose any. So this table uses the top of the range, and
// its default makes everything below inert.
var (
	bandClassifyGuard   = Band{65520, 65530, "tunnel packets in clear, between the host and a peer of encrypted networks: dropped"}
	bandClassifyPort    = Band{65500, 65500, "one port (and on the overlay bridge one VNI)"}
	bandClassifyLocal   = Band{65450, 65450, "the bridge's own port, until it is described"}
	bandClassifyDefault = Band{65400, 65400, "any other port; makes flows of others inert"}
)

// Table vlan. The host's own traffic is decided before any VLAN is looked at.
var (
	bandVLANHost = Band{300, 300, "from an uplink to the host's own MAC address"}
	bandVLANTag  = Band{200, 200, "the VLAN tag of one network"}
)

// Table spoof_guard. Neighbour discovery is decided above plain addresses, and
// what a VM must never send (router advertisements, redirects) between the two.
var (
	bandGuardUnlocked  = Band{600, 600, "not from a locked VIF (from an isolated one: by its MAC addresses)"}
	bandGuardMalformed = Band{450, 450, "neighbour discovery the switch could not parse: dropped"}
	bandGuardND        = Band{400, 400, "neighbour discovery for an allowed address; what routers and DHCP servers send, of a VIF that may be one"}
	bandGuardReserved  = Band{300, 300, "other neighbour discovery, router messages and DHCP answers: dropped"}
	bandGuardAddress   = Band{200, 200, "allowed addresses, address configuration"}
)

// Table guest_guard. What few may send is decided first: a tag that is let pass has then
// met that guard.
var (
	bandGuestNested  = Band{600, 600, "a tag within a tag: dropped"}
	bandGuestService = Band{500, 510, "router advertisements and DHCP answers: of a VIF that may send them (510), of others they are dropped"}
	bandGuestExempt  = Band{400, 400, "a tag among the VIF's trunks; a priority tag, of a VIF that nothing is decided of"}
	bandGuestTagged  = Band{300, 300, "any other tag: dropped"}
)

// Tables out_state and in_track.
var (
	bandStateNeighbor = Band{200, 200, "neighbour discovery, IGMP and MLD belong to no connection"}
	bandStateTrack    = Band{100, 100, "other IP of a tracked VIF"}
)

// Tables out_policy and in_policy.
var (
	bandPolicyNone     = Band{490, 500, "no policy: what rules of XCP-ng's form said holds (500: a denial)"}
	bandPolicyNeighbor = Band{400, 400, "ARP and neighbour discovery"}
	bandPolicyRelated  = Band{300, 300, "ICMP errors about a connection"}
	bandPolicyReply    = Band{200, 200, "a reply: judged as the connection it belongs to"}
)

// Tables out_verdict and in_verdict.
var (
	bandVerdict        = Band{200, 210, "what was said (210: a new connection to remember)"}
	bandVerdictInvalid = Band{100, 110, "no rule: what fits no connection is dropped (110: ARP and neighbour discovery are not)"}
)

// The rule tables hold the levels of the hierarchy one above the other: the switch takes
// the matching flow of the highest priority, which is the first match. Within a band each
// list has its own ranks. A VIF's own list has room for 20,000 different ranks.
var (
	bandGlobalMandatory  = Band{56880, 65071, "mandatory rules for all VIFs"}
	bandPoolMandatory    = Band{48688, 56879, "mandatory rules of the pool"}
	bandNetworkMandatory = Band{36400, 48687, "mandatory rules of the subject's network"}
	bandGroupMandatory   = Band{20016, 36399, "mandatory rules of the subject's VIF groups"}
	bandVIFMandatory     = Band{16, 20015, "mandatory rules of the subject"}
	bandCompat           = Band{10, 11, "what rules of XCP-ng's form said"}

	bandVIFDefault     = Band{45072, 65071, "default rules of the subject"}
	bandGroupDefault   = Band{28688, 45071, "default rules of the subject's VIF groups"}
	bandNetworkDefault = Band{16400, 28687, "default rules of the subject's network"}
	bandPoolDefault    = Band{8208, 16399, "default rules of the pool"}
	bandGlobalDefault  = Band{16, 8207, "default rules for all VIFs"}
	bandExempt         = Band{12, 12, "what every station needs passes a default action that drops"}
	bandDefaultAction  = Band{11, 11, "the default action of the subject's network"}
)

// IsDefaultAction reports whether a flow is the default action of a network.
func IsDefaultAction(f flow.Flow) bool {
	t := Table(f.Table)
	return (t == TableDefaultOut || t == TableDefaultIn) && bandDefaultAction.contains(f.Priority)
}

// bandRule holds users' rules in from_vif, from_trunk and to_vif, at the user's own priority
// wherever that is possible (see rank). 0 is the table's miss.
var bandRule = Band{1, 65535, "rules of XCP-ng's form, at the priority their user gave"}

// Table learn. The host's MAC addresses come first here too: NORMAL learns from what
// passes, and would send the host's traffic to the VIF that used one.
var (
	bandLearnHost  = Band{500, 500, "a MAC address of the host, used by a VIF of an external network: dropped"}
	bandLearnNever = Band{400, 400, "a group address as source: never learned"}
	bandLearnPeer  = Band{350, 350, "an isolated VIF of another host: noted as such"}
	bandLearnKnown = Band{300, 300, "a MAC address whose place is known: not learned"}
	bandLearn      = Band{200, 200, "any other source: learned"}
)

// Table admit.
var (
	bandAdmitNever = Band{200, 200, "the MAC address of a VIF without inbound rules: dropped"}
	bandAdmit      = Band{100, 100, "remembered as an address of the VIF that sent"}
)

// Table neighbor.
var (
	bandNeighborNever  = Band{300, 300, "probes for addresses that are not in use yet, what cannot be answered, and what VIFs send that are isolated or in a community: not answered here"}
	bandNeighborOwn    = Band{200, 200, "for an address by the VIF that has it, or that claims it: not answered here"}
	bandNeighborAnswer = Band{100, 100, "an ARP request or a neighbour solicitation for the address of a VIF that nobody else has: answered"}
)

// Table advertise.
var bandAdvertise = Band{100, 100, "flags, target link-layer address, and back to the VIF that asked"}

// bandLearned is the priority of the flows the switch learns.
var bandLearned = Band{100, 100, "learned by the switch"}

// Table destination. The host's MAC addresses come before those of VIFs: no VIF
// can draw the host's traffic to itself.
var (
	bandDestinationArrived  = Band{700, 700, "overlay bridge: what comes by a tunnel and is not passed on"}
	bandDestinationReserved = Band{600, 600, "link-local control protocols on private networks: dropped"}
	bandDestinationGroup    = Band{500, 520, "broadcast and multicast (510: of one network that is private, or with copies for guarded VIFs; 520: multicast of IP, to listeners only)"}
	bandDestinationHost     = Band{400, 410, "the host's own MAC addresses (410: on one private network)"}
	bandDestinationMAC      = Band{300, 310, "a known MAC address of one network (310: of a VIF with rules; overlay bridge of a relay: of its own VIFs)"}
	bandDestinationTrunk    = Band{250, 250, "the MAC address of a VIF with rules, in any VLAN that reaches it"}
	bandDestinationNetwork  = Band{220, 220, "any other address of one private network"}
	bandDestinationFromHost = Band{200, 200, "from the host: learned MAC addresses are not consulted"}
)

// Table multicast.
var (
	bandMulticastTagged  = Band{600, 600, "a tag: of a network that VMs have made within this one"}
	bandMulticastQuery   = Band{500, 500, "what routers say: queries and PIM, and IGMP from a router"}
	bandMulticastReport  = Band{400, 410, "reports of who listens: to routers only (410: what a relay passes on)"}
	bandMulticastFlooded = Band{300, 300, "groups that everyone gets"}
	bandMulticastGroup   = Band{200, 210, "one group: to its listeners (210: what a relay passes on)"}
	bandMulticastOther   = Band{100, 110, "any other group of a family: to routers only (110: what a relay passes on)"}
)

// bandReports is the priority of reports in table reports.
var bandReports = Band{100, 100, "a VIF's"}

// Table deliver.
var (
	bandDeliverKnown = Band{200, 200, "one VIF, or elsewhere"}
	bandDeliverFlood = Band{100, 100, "unknown: a copy for everyone"}
)

// bandFlood is the priority of the pages of a flood list.
var bandFlood = Band{100, 100, "one page of one network"}

// Table in_state.
var (
	bandInOwn        = Band{400, 400, "what the VIF itself has sent, also when an uplink brings it back: dropped"}
	bandInCommunity  = Band{300, 300, "a sender of the VIF's own community"}
	bandInRestricted = Band{200, 200, "another restricted sender: dropped"}
	bandInSubject    = Band{100, 100, "any sender, to a VIF with a policy"}
)

// bandDeniedReject is the priority of what is rejected in table denied.
var bandDeniedReject = Band{100, 100, "rejected: the controller tells the sender"}

// bandDeniedCopy is the priority of copies of flooded packets in table denied.
var bandDeniedCopy = Band{200, 200, "a copy of a flooded packet: logged, never answered"}

// Table host_delivery.
var (
	bandHostReflected = Band{200, 200, "what the host itself has sent and an uplink brings back: dropped"}
	bandHostDelivery  = Band{100, 100, "multicast from an uplink"}
)

// Table forward.
var (
	bandForwardCopy    = Band{300, 310, "a copy for one VIF of an external network, with the tag that it is to see (310); no copy for others"}
	bandForwardPort    = Band{200, 200, "one VIF of a private network, or with a limit; overlay bridge: one network's patch port"}
	bandForwardPrivate = Band{100, 100, "a private network never uses NORMAL"}
)

// Table tunnel_out.
var (
	bandTunnelHost  = Band{200, 210, "one network by one tunnel (210: of a relay, what it passes on to where it was learned from)"}
	bandTunnelFlood = Band{100, 110, "one network to everyone else (110: what a relay passes on)"}
)

// The second priority of bands that hold two.
const (
	priorityGuardAll     = 65530
	priorityTunnelPass   = 210
	priorityFloodPass    = 110
	priorityGroupPrivate = 510
	prioritySnooped      = 520
	priorityHostPrivate  = 410
	priorityMACWithRules = 310
	priorityMACLocal     = 310
)
