package northbound

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// Limits of a VIF, stated in the proto comments.
const (
	maxLabels        = 64
	maxPairs         = 128
	maxRouters       = 32
	maxRouterAddress = 32
	maxVRID          = 255 // RFC 9568, 5.2.3
	maxTrunks        = 256
	maxCommunity     = 64
	minBps           = 1_000
	maxBps           = 1_000_000_000_000
	// minBurst is one frame of the usual size, in bits: what allows less lets no
	// such frame pass.
	minBurst = 1514 * 8
	// bitsPerKB makes bit/s of XenServer's kbps: kilobytes of 1024 bytes.
	bitsPerKB = 1024 * 8
)

// maxLabel bounds the keys and values of labels.
const maxLabel = 63

// isLabelKey and isLabelValue tell what labels are made of. Hosts report labels
// under the same keys, as Interface.external_ids:poolwire-label-KEY.
func isLabelKey(s string) bool {
	return s != "" && isLabelText(s, func(r rune) bool { return 'a' <= r && r <= 'z' || r == '/' })
}

func isLabelValue(s string) bool {
	return isLabelText(s, func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' })
}

// isLabelText allows digits, ".", "_" and "-" beside some other characters.
func isLabelText(s string, other func(rune) bool) bool {
	return len(s) <= maxLabel && !strings.ContainsFunc(s, func(r rune) bool {
		return !other(r) && (r < '0' || '9' < r) && r != '.' && r != '_' && r != '-'
	})
}

// labels checks the labels of a VIF.
func (p place) labels(labels map[string]string) {
	if len(labels) > maxLabels {
		p.say("has %d entries; at most %d are accepted", len(labels), maxLabels)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if !isLabelKey(k) {
			p.refuse(k, `is no key of a label; 1 to 63 characters of "a" to "z", digits, ".", "_", "/" and "-" are accepted`)
			continue
		}
		if !isLabelValue(labels[k]) {
			p.refuse(labels[k], `(label %s) is no value of a label; up to 63 letters, digits, ".", "_" and "-" are accepted`, k)
		}
	}
}

// checkAddressPairs checks the additional addresses of a VIF and brings them into
// canonical form, each once.
func checkAddressPairs(vif *v1.Vif, at place) {
	pairs := vif.GetAllowedAddressPairs()
	if len(pairs) > maxPairs {
		at.say("has %d entries; at most %d are accepted (a prefix stands for many addresses)", len(pairs), maxPairs)
		return
	}
	var out []*v1.AddressPair
	for i, p := range pairs {
		here := at.index(i)
		here.field("mac").mac(&p.Mac)
		here.field("address").senderPrefix(&p.Address)
		if !slices.ContainsFunc(out, func(o *v1.AddressPair) bool { return o.GetMac() == p.GetMac() && o.GetAddress() == p.GetAddress() }) {
			out = append(out, p)
		}
	}
	vif.AllowedAddressPairs = out
}

// senderPrefix checks a required address or prefix that something sends from.
func (p place) senderPrefix(s *string) {
	if *s == "" {
		p.say(`is required: an IP address or prefix like "192.0.2.7" or "2001:db8::/64"`)
		return
	}
	if prefix := p.ipRange(s); prefix.IsValid() && prefix.Addr().IsMulticast() {
		p.refuse(*s, "is multicast, which nothing sends from; a unicast address or prefix is accepted")
	}
}

// checkVirtualRouters checks the virtual routers of a VIF and brings their
// addresses into canonical form.
func checkVirtualRouters(vif *v1.Vif, at place) {
	routers := vif.GetVirtualRouters()
	if len(routers) > maxRouters {
		at.say("has %d entries; at most %d are accepted", len(routers), maxRouters)
		return
	}
	first := map[uint32]int{}
	for i, r := range routers {
		here := at.index(i)
		if r.GetVrid() < 1 || r.GetVrid() > maxVRID {
			here.field("vrid").refuseNumber(r.GetVrid(), "must be 1 to %d", maxVRID)
		} else if j, twice := first[r.GetVrid()]; twice {
			here.field("vrid").refuseNumber(r.GetVrid(), "is virtual_routers[%d] already; name all its addresses there", j)
		} else {
			first[r.GetVrid()] = i
		}
		addresses := here.field("addresses")
		switch n := len(r.GetAddresses()); {
		case n == 0:
			addresses.say("is required: the virtual addresses, 1 to %d", maxRouterAddress)
			continue
		case n > maxRouterAddress:
			addresses.say("has %d entries; at most %d are accepted", n, maxRouterAddress)
			continue
		}
		var out []string
		for j, a := range r.GetAddresses() {
			if a == "" {
				addresses.index(j).say(`is empty; an IP address like "192.0.2.7" is accepted`)
			}
			addresses.index(j).address(&a)
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
		r.Addresses = out
	}
}

// checkTrunks refuses tags on a VIF whose own network gives them no meaning.
func checkTrunks(v *raftstore.View, vif *v1.Vif, at place) {
	if why := trunkless(v, vif); len(vif.GetTrunks()) > 0 && why != "" {
		at.refuseNumber(vif.GetTrunks()[0], "must be empty: the VIF is on %s; only VIFs on the untagged network of a bridge can be trunks", why)
	}
}

// trunkless says why a VIF cannot be a trunk where it is, empty when it can: a frame
// has one tag, which a tagged network has given it already, and packets of a private
// network are in no VLAN.
func trunkless(v *raftstore.View, vif *v1.Vif) string {
	n := v.Network(vif.GetNetworkUuid())
	if private := v.PrivateNetwork(n.GetPrivateNetworkUuid()); private != nil {
		return fmt.Sprintf("the private network %s, where VMs send no tags", nameOf(private))
	}
	if n.GetVlan() != 0 {
		return fmt.Sprintf("the network %s, which is VLAN %d of its bridge, where VMs send no tags", nameOf(n), n.GetVlan())
	}
	return ""
}

// community checks the name of a community.
func (p place) community(s string) {
	n := utf8.RuneCountInString(s)
	switch {
	case n > maxCommunity:
		p.refuse(s, "has %d characters; at most %d are accepted", n, maxCommunity)
	case strings.TrimSpace(s) != s:
		p.refuse(s, "begins or ends with a space; remove it")
	case strings.ContainsFunc(s, unprintable):
		p.refuse(s, "holds a character that cannot be printed; letters, digits, punctuation and spaces are accepted")
	}
}

// checkQos checks the limits of a VIF. XenServer's spelling becomes outbound_bps.
func checkQos(vif *v1.Vif, at place) {
	q := vif.GetQos()
	if q == nil {
		return
	}
	if kbps := q.GetKbps(); kbps != 0 {
		here := at.field("kbps")
		switch {
		case q.GetOutboundBps() != 0:
			here.refuseNumber(kbps, "must be 0 beside outbound_bps (%d): both limit what the VM sends; kbps is in kilobytes of 1024 bytes per second", q.GetOutboundBps())
		case kbps > maxBps/bitsPerKB:
			here.refuseNumber(kbps, "must be at most %d kilobytes per second (10^12 bit/s)", maxBps/bitsPerKB)
		default:
			q.OutboundBps, q.Kbps = kbps*bitsPerKB, 0
		}
	}
	at.field("inbound_bps").rate(q.GetInboundBps())
	at.field("outbound_bps").rate(q.GetOutboundBps())
	at.field("inbound_burst_bits").burst(q.GetInboundBurstBits(), q.GetInboundBps())
	at.field("outbound_burst_bits").burst(q.GetOutboundBurstBits(), q.GetOutboundBps()+q.GetKbps())
	if q.GetInboundBps()+q.GetOutboundBps()+q.GetInboundBurstBits()+q.GetOutboundBurstBits()+q.GetKbps() == 0 {
		vif.Qos = nil // no limit at all
	}
}

// rate checks a rate in bit/s; 0 is none.
func (p place) rate(bps uint64) {
	if bps != 0 && (bps < minBps || bps > maxBps) {
		p.refuseNumber(bps, "must be %d to %d (10^12) bit/s, or 0 for no limit", minBps, uint64(maxBps))
	}
}

// burst checks how much above a rate may pass at once, in bits; 0 is the default.
func (p place) burst(bits, bps uint64) {
	switch {
	case bits == 0:
	case bps == 0:
		p.refuseNumber(bits, "must be 0 without a rate: there is no limit that it could be above")
	case bits < minBurst || bits > maxBps:
		p.refuseNumber(bits, "must be %d (a frame of 1514 bytes) to %d bits, or 0 for a fifth of a second's worth", minBurst, uint64(maxBps))
	}
}
