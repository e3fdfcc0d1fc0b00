package reference

import (
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
)

// compat returns the rule of XCP-ng's form that decides over the packet, or nil, and those
// that tie with it: of what the VIF sends its own To rules and all of its network's, of what reaches it its
// From rules. The highest priority wins, and at equal priority a denial.
func (q *question) compat() (best *flowcompiler.Rule, equals []uint32) {
	consider := func(r flowcompiler.Rule, end flowcompiler.Direction) {
		if !q.compatMatches(&r, end) {
			return
		}
		switch {
		case best == nil || r.Priority > best.Priority || r.Priority == best.Priority && best.Allow && !r.Allow:
			best, equals = &r, []uint32{r.ID}
		case r.Priority == best.Priority && r.Allow == best.Allow:
			equals = append(equals, r.ID)
		}
	}
	wanted := flowcompiler.To
	if q.inbound {
		wanted = flowcompiler.From
	}
	for _, r := range q.vif.Rules {
		if r.Direction == wanted || r.Direction == flowcompiler.Both {
			consider(r, wanted)
		}
	}
	if !q.inbound {
		for _, r := range q.world.network(q.vif).Rules {
			for _, end := range []flowcompiler.Direction{flowcompiler.To, flowcompiler.From} {
				if r.Direction == end || r.Direction == flowcompiler.Both {
					consider(r, end)
				}
			}
		}
	}
	return best, equals
}

// compatMatches: a To rule looks at the packet's destination, a From rule at its source.
func (q *question) compatMatches(r *flowcompiler.Rule, end flowcompiler.Direction) bool {
	p := &q.packet
	address := p.Dst
	src, port, hasPorts := q.world.ports(p)
	if end == flowcompiler.From {
		address, port = p.Src, src
	}
	if r.Prefix.IsValid() && !r.Prefix.Contains(address) {
		return false
	}
	proto := map[flowcompiler.Protocol][]uint8{
		flowcompiler.TCP: {walk.ProtoTCP}, flowcompiler.UDP: {walk.ProtoUDP}, flowcompiler.ICMP: {walk.ProtoICMP},
	}[r.Protocol]
	if r.Protocol == flowcompiler.ICMP && p.EtherType == walk.EtherTypeIPv6 {
		proto = []uint8{walk.ProtoICMPv6}
	}
	switch r.Protocol {
	case flowcompiler.ARP:
		return p.EtherType == walk.EtherTypeARP
	case flowcompiler.IP:
		return p.IsIP()
	default:
		return p.IsIP() && slices.Contains(proto, p.Proto) && (!r.HasPort || hasPorts && r.Port == port)
	}
}
