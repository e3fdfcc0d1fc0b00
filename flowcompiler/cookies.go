package flowcompiler

import "fmt"

// CookieMagic is the first byte of the cookie of every flow that is ours.
const CookieMagic = 0x50

// Kind says what a flow does; together with the object id in the cookie it
// leads from a flow back to what caused it. Kinds are stored on switches:
// append only.
type Kind uint8

// The kinds of flows.
const (
	// KindBase flows belong to the bridge as a whole; the object id is 0.
	KindBase Kind = 1
	// KindPort flows say what a port is; the object id is its OpenFlow port number.
	KindPort Kind = 2
	// KindVIF flows say which port is a VIF's, and which MAC address; the object is the VIF.
	KindVIF Kind = 3
	// KindLocking flows are the port locking of a VIF (object id 0: common to all).
	KindLocking Kind = 4
	// KindVIFRule flows are a rule of one VIF; the object is the rule.
	KindVIFRule Kind = 5
	// KindNetworkRule flows are a network-wide rule; the object is the rule.
	KindNetworkRule Kind = 6
	// KindNetwork flows belong to a network as a whole; the object is the network.
	KindNetwork Kind = 7
	// KindFlood flows copy a packet to the ports of a private network; the object is the network.
	KindFlood Kind = 8
	// KindRemote flows lead to another host; the object is the host.
	KindRemote Kind = 9
	// KindLearned flows were made by the switch from a learn action. The object is
	// the VIF whose MAC address was learned, or the network for addresses that
	// were learned from elsewhere.
	KindLearned Kind = 10
	// KindPolicy flows are a policy rule; the object is the rule.
	KindPolicy Kind = 11
	// KindPeer flows know an isolated VIF of another host; the object is the network.
	KindPeer Kind = 12
	// KindGuard flows drop tunnel packets in clear between the host and another one; the object is that host.
	KindGuard Kind = 13
	// KindNeighbor flows answer in the place of a VIF; the object is the VIF.
	KindNeighbor Kind = 14
	// KindMulticast flows send multicast to who listens; the object is the private network.
	KindMulticast Kind = 15
)

// kindNames is indexed by Kind.
var kindNames = [...]string{
	KindBase: "bridge", KindPort: "port", KindVIF: "VIF", KindLocking: "port locking", KindVIFRule: "VIF rule",
	KindNetworkRule: "network rule", KindNetwork: "network", KindFlood: "flood list", KindRemote: "remote host",
	KindLearned: "learned MAC address", KindPolicy: "policy rule", KindPeer: "isolated VIF of another host",
	KindGuard: "guard of encrypted networks", KindNeighbor: "answer for a VIF", KindMulticast: "multicast",
}

// kindObjects is what the object id of a kind identifies.
var kindObjects = [...]string{
	KindBase: "0", KindPort: "OpenFlow port number", KindVIF: "VIF", KindLocking: "VIF, or 0", KindVIFRule: "rule",
	KindNetworkRule: "rule", KindNetwork: "network", KindFlood: "network", KindRemote: "host",
	KindLearned: "VIF, or network for addresses learned from elsewhere", KindPolicy: "policy rule", KindPeer: "network",
	KindGuard: "host", KindNeighbor: "VIF", KindMulticast: "network",
}

// Kinds lists all kinds in the order of their numbers.
func Kinds() []Kind {
	kinds := make([]Kind, 0, len(kindNames))
	for k := KindBase; int(k) < len(kindNames); k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// String returns a few words for the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Object says what the object id in a cookie of this kind identifies.
func (k Kind) Object() string {
	if int(k) < len(kindObjects) {
		return kindObjects[k]
	}
	return ""
}

// Cookie is a flow's cookie taken apart:
//
//	63      56 55      48 47              32 31                               0
//	+---------+----------+------------------+----------------------------------+
//	|  magic  |   kind   |  tunnel, or 0    |            object id             |
//	+---------+----------+------------------+----------------------------------+
//
// The tunnel's port number is there on the overlay bridge, in what was learned from a tunnel.
//
// There is no term, leader or epoch in it: a change of leader must not rewrite
// a single flow.
type Cookie struct {
	Kind   Kind
	Object uint32
}

// Encode returns the cookie as it is sent.
func (c Cookie) Encode() uint64 {
	return CookieMagic<<56 | uint64(c.Kind)<<48 | uint64(c.Object)
}

// LearnedCookie is the cookie of what is learned of an object (see KindLearned) by a port; 0 where the
// port does not matter. With LearnedCookieMask it names all of that and nothing else.
func LearnedCookie(object uint32, port uint16) uint64 {
	return Cookie{KindLearned, object}.Encode() | uint64(port)<<32
}

// LearnedCookieMask is the mask for LearnedCookie.
const LearnedCookieMask = 1<<64 - 1

// ParseCookie takes a flow's cookie apart. ok is false when the flow is not ours.
func ParseCookie(cookie uint64) (c Cookie, ok bool) {
	c = Cookie{Kind: Kind(cookie >> 48), Object: uint32(cookie)}
	if !Own(cookie) {
		return Cookie{}, false
	}
	return c, true
}

// Own tells whether a flow with this cookie is ours: to be kept as compiled, and
// deleted when no longer compiled. A cookie with reserved bits set, or of a kind
// that does not exist, is ours too: it was left by another version.
func Own(cookie uint64) bool { return cookie>>56 == CookieMagic }

// Ephemeral tells whether a flow with this cookie was made by the switch from
// one of our learn actions. It is ours, but never compiled, so it must neither
// be compared with what was compiled nor be deleted for not being in there.
func Ephemeral(cookie uint64) bool { return Own(cookie) && Kind(cookie>>48) == KindLearned }
