package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// Commands of the client that remedies are made of.
const (
	addRule    = "poolwire rule add"
	updateRule = "poolwire rule update"
	deleteRule = "poolwire rule delete"
	updateVIF  = "poolwire vif update"
)

// remedies says what would have to change for another verdict.
func (x *explanation) remedies() []string {
	j, e := x.final(), x.out.GetDecidedBy()
	vif, flag := x.subject()
	what := flag + x.match(flag == inboundFlag)
	switch {
	case j.reached:
		return []string{"to stop it: " + addRule + " --vif " + vif.GetUuid() + " --drop " + what}
	case j.hindrance != nil:
		return j.hindrance.remedies
	case j.deniedByRule() && e.GetCompat():
		return []string{
			"remove the rule: " + deleteRule + " " + e.GetRuleUuid(),
			"or overrule it with a mandatory rule: " + addRule + " --vif " + vif.GetUuid() + " --mandatory --allow " + what,
		}
	case j.deniedByRule() && e != nil:
		return []string{
			"change or disable the rule: " + updateRule + " " + x.ruleWord(e) + " --disabled",
			"or let this pass before it: " + x.before(e, vif.GetUuid(), what),
		}
	case j.deniedByDefault():
		return []string{"let it pass: " + addRule + " --vif " + vif.GetUuid() + " --allow " + what}
	}
	return x.besideRules()
}

// Directions as the client's flags.
const (
	inboundFlag  = "--inbound"
	outboundFlag = "--outbound"
)

// subject is the VIF whose policy ended the walk, and the direction of the rules that
// were asked: that in which the session was opened.
func (x *explanation) subject() (vif *poolwirev1.Vif, flag string) {
	vif = x.sender
	registers, _ := x.final().end()
	_, object := x.view.Object(flowcompiler.FieldSubject.Value(registers))
	if v, ok := object.(*poolwirev1.Vif); ok && x.receiver != nil && v.GetUuid() == x.receiver.GetUuid() || vif == nil {
		vif = x.receiver
	}
	if (vif == x.sender) == x.question.reply {
		return vif, inboundFlag
	}
	return vif, outboundFlag
}

// match is what a rule about the packet's session says, as flags. The other end's address
// is left out when it is made up.
func (x *explanation) match(inbound bool) string {
	h, opener, other := x.question.header, x.from, x.to
	c := sessionOf(h.packet(x.from, x.to), x.question.reply, x.question.established)
	if x.question.reply {
		opener, other = x.to, x.from
	}
	if inbound {
		other = opener
	}
	var b strings.Builder
	switch ports := " --remote-port "; {
	case h.arp:
		b.WriteString(" --protocol arp")
	case h.protocol == walk.ProtoICMP, h.protocol == walk.ProtoICMPv6:
		fmt.Fprintf(&b, " --protocol %s --icmp-type %d", protocolWord(h.protocol), c.SrcPort)
	case protocolWord(h.protocol) == strconv.Itoa(int(h.protocol)):
		fmt.Fprintf(&b, " --protocol %d", h.protocol)
	default:
		if inbound {
			ports = " --local-port "
		}
		b.WriteString(" --protocol " + protocolWord(h.protocol) + ports + strconv.Itoa(int(c.DstPort)))
	}
	if !other.anyOf.IsValid() {
		b.WriteString(" --remote " + other.addr.String())
	}
	return b.String()
}

// protocolWord is how rules name a protocol.
func protocolWord(protocol uint8) string {
	for _, name := range []string{"tcp", "udp", "icmp", "icmpv6", "sctp"} {
		if n, ok := sessionProtocol(name); ok && n == protocol {
			return name
		}
	}
	return strconv.Itoa(int(protocol))
}

// ruleWord is what a command finds a rule by: its name where that is one word and nobody
// else's, or else its UUID.
func (x *explanation) ruleWord(e *poolwirev1.PolicyEntry) string {
	name := e.GetNameLabel()
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}
	if name == "" || name[0] == '-' || strings.ContainsFunc(name, odd) || len(x.view.PolicyRulesByName(name)) != 1 {
		return e.GetRuleUuid()
	}
	return name
}

// before is a rule by which another one can be overruled. what is its direction and its match.
func (x *explanation) before(e *poolwirev1.PolicyEntry, vif, what string) string {
	mandatory := e.GetSection() == poolwirev1.PolicySection_POLICY_SECTION_MANDATORY
	own := e.GetLevel() == poolwirev1.PolicyLevel_POLICY_LEVEL_VIF
	last := e.GetPriority() >= 65535
	first := " --priority " + strconv.Itoa(int(e.GetPriority())+1)
	switch {
	case !mandatory && !own:
		return addRule + " --vif " + vif + " --allow " + what
	case !mandatory && last:
		return addRule + " --vif " + vif + " --mandatory --allow " + what
	case !mandatory:
		return addRule + " --vif " + vif + " --allow " + what + first
	case last:
		return "no rule of its level can come before it; a mandatory one further out can"
	}
	r := x.view.PolicyRule(e.GetRuleUuid())
	return addRule + scopeFlag(r) + " --mandatory --allow " + what + first
}

// scopeFlag is the flag that makes a rule for the same VIFs as another.
func scopeFlag(r *poolwirev1.PolicyRule) string {
	switch r.GetLevel() {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
		return " --pool " + r.GetScopeUuid()
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return " --network " + r.GetScopeUuid()
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		return " --group " + r.GetScopeUuid()
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		return " --vif " + r.GetScopeUuid()
	}
	return " --global"
}

// enableVIF is how a disabled VIF is let pass anything again.
func enableVIF(v *poolwirev1.Vif) string { return "enable the VIF: poolwire vif unlock " + v.GetUuid() }

// besideRules says what to change for what tables without rules decide.
func (x *explanation) besideRules() []string {
	_, t := x.final().end()
	if v := x.disabled(t); v != nil {
		return []string{enableVIF(v)}
	}
	switch t {
	case flowcompiler.TableSpoofGuard:
		return x.addressRemedies()
	case flowcompiler.TableGuestGuard:
		return x.guestRemedies()
	case flowcompiler.TableInState:
		return []string{"both ends are isolated from each other: " + updateVIF + " " + x.receiver.GetUuid() + " --isolation promiscuous"}
	case flowcompiler.TableDeliver, flowcompiler.TableFlood, flowcompiler.TableTunnelOut:
		return []string{"nobody who could get it is plugged into the network: see poolwire vif list"}
	}
	return nil
}

// disabled is the VIF whose being disabled ended the walk in a table; nil when that is not
// what did.
func (x *explanation) disabled(t flowcompiler.Table) *poolwirev1.Vif {
	v := x.receiver
	switch t {
	case flowcompiler.TableClassify:
		v = x.sender
	case flowcompiler.TableDestination, flowcompiler.TableDeliver, flowcompiler.TableFlood:
	default:
		return nil
	}
	if v == nil {
		return nil
	}
	for _, p := range x.view.PortsByVif(v.GetUuid()) {
		m := newModel(x.view, x.view.Host(p.GetHostUuid()), p.GetBridge(), portNumbers{}, false)
		if effectiveLocking(v, m.networkOn(p.GetNetworkBridge()).DefaultLocking) == flowcompiler.Disabled {
			return v
		}
	}
	return nil
}

// addressRemedies says how a locked VIF could send from an address.
func (x *explanation) addressRemedies() []string {
	v, uuid := x.sender, x.sender.GetUuid()
	if service := x.serviceRemedy(); service != "" {
		return []string{service}
	}
	unlock := "or do not lock the VIF: poolwire vif unlock " + uuid
	under := x.macsOf(v, x.from.addr)
	switch {
	case len(under) > 0 && !slices.Contains(under, x.from.mac):
		return []string{fmt.Sprintf("%s may send from %s, but only under the MAC address %s, not under %s: --source-mac asks about that",
			vifLabel(v), x.from.addr, joined(under), x.from.mac)}
	case len(under) > 0:
		return []string{unlock}
	case x.from.anyOf.IsValid():
		return []string{"give it an address: " + updateVIF + " " + uuid + " " + allowFlag(x.from.addr) + " ADDRESS", unlock}
	case x.from.mac.String() != v.GetMac():
		return []string{fmt.Sprintf("allow the address under this MAC address, beside the pairs it has: %s %s --pair %s", updateVIF, uuid, x.withPairs()), unlock}
	}
	list := v.GetIpv4Allowed()
	if x.from.addr.Is6() {
		list = v.GetIpv6Allowed()
	}
	list = append(slices.Clone(list), x.from.addr.String())
	return []string{"allow the address: " + updateVIF + " " + uuid + " " + allowFlag(x.from.addr) + " " + strings.Join(list, ","), unlock}
}

// allowFlag is the flag for allowed addresses of a family.
func allowFlag(a netip.Addr) string {
	if a.Is6() {
		return "--ipv6"
	}
	return "--ipv4"
}

func joined(macs []flow.MAC) string {
	words := make([]string, len(macs))
	for i, m := range macs {
		words[i] = m.String()
	}
	return strings.Join(words, " or ")
}

// withPairs is the sender's list of pairs with one more: what the packet is sent from.
func (x *explanation) withPairs() string {
	var words []string
	for _, p := range x.sender.GetAllowedAddressPairs() {
		word := p.GetAddress()
		if p.GetMac() != "" {
			word = p.GetMac() + "=" + word
		}
		words = append(words, word)
	}
	return strings.Join(append(words, x.from.mac.String()+"="+x.from.addr.String()), ",")
}

// serviceRemedy lets a VIF send what only routers and DHCP servers do; empty when that is
// not what the packet is.
func (x *explanation) serviceRemedy() string {
	h, uuid := x.question.header, x.sender.GetUuid()
	switch {
	case h.protocol == walk.ProtoICMPv6 && (h.srcPort == 134 || h.srcPort == 137):
		return "let the VM be a router: " + updateVIF + " " + uuid + " --allow-ra"
	case h.protocol == walk.ProtoUDP && (h.srcPort == 67 && h.dstPort == 68 || h.srcPort == 547 && h.dstPort == 546):
		return "let the VM serve DHCP: " + updateVIF + " " + uuid + " --allow-dhcp-server"
	}
	return ""
}

// guestRemedies says how a VIF could send what guests may not.
func (x *explanation) guestRemedies() []string {
	if service := x.serviceRemedy(); service != "" {
		return []string{service}
	}
	if x.question.header.vlan == 0 {
		return nil
	}
	tags := append(slices.Clone(x.sender.GetTrunks()), uint32(x.question.header.vlan))
	words := make([]string, len(tags))
	for i, t := range tags {
		words[i] = strconv.Itoa(int(t))
	}
	return []string{"let the VM use the tag: " + updateVIF + " " + x.sender.GetUuid() + " --trunk " + strings.Join(words, ",")}
}
