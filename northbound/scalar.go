package northbound

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"poolwire/southbound/openflow/flow"
)

// Limits of the API's own, stated in the proto comments.
const (
	maxNameLabel   = 128
	maxDescription = 1024
	maxRequestID   = 64
	maxAllowed     = 256 // addresses in one list of a VIF
	maxMembers     = 1024
	maxBridgeName  = 15 // IFNAMSIZ less the final NUL
)

// canonicalUUID returns the lower-case form of an RFC 4122 UUID in its usual
// notation.
func canonicalUUID(s string) (string, bool) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != len("00000000-0000-0000-0000-000000000000") {
		return "", false
	}
	return id.String(), true
}

// uuid checks an optional UUID and makes it canonical.
func (p place) uuid(s *string) {
	if *s == "" {
		return
	}
	id, ok := canonicalUUID(*s)
	if !ok {
		p.refuse(*s, `must be a UUID like "7b1f2a3c-9d0e-4f56-8a7b-0c1d2e3f4a5b"`)
		return
	}
	*s = id
}

// requiredUUID is uuid for a field that must not be empty.
func (p place) requiredUUID(s *string) {
	if *s == "" {
		p.say("is required: a UUID")
		return
	}
	p.uuid(s)
}

// name checks a name_label that must be there.
func (p place) name(s string) {
	if s == "" {
		p.say("is required: 1 to %d characters", maxNameLabel)
		return
	}
	p.optionalName(s)
}

// optionalName checks a name_label. A name that reads as a UUID would hide the
// object of that UUID wherever names and UUIDs are both accepted.
func (p place) optionalName(s string) {
	n := utf8.RuneCountInString(s)
	_, isUUID := canonicalUUID(s)
	switch {
	case n > maxNameLabel:
		p.refuse(s, "has %d characters; at most %d are accepted", n, maxNameLabel)
	case strings.TrimSpace(s) != s:
		p.refuse(s, "begins or ends with a space; remove it")
	case strings.ContainsFunc(s, unprintable):
		p.refuse(s, "holds a character that cannot be printed; letters, digits, punctuation and spaces are accepted")
	case isUUID:
		p.refuse(s, "reads as a UUID; choose a name that does not")
	}
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// description checks a name_description.
func (p place) description(s string) {
	if n := utf8.RuneCountInString(s); n > maxDescription {
		p.refuse(s, "has %d characters; at most %d are accepted", n, maxDescription)
	}
}

// requestID checks the id that makes a retry safe.
func (p place) requestID(s string) {
	if n := utf8.RuneCountInString(s); n > maxRequestID {
		p.refuse(s, "has %d characters; at most %d are accepted", n, maxRequestID)
	}
}

const macForm = `must be a MAC address like "6e:0b:9e:72:ab:c6"`

// mac checks an optional MAC address of a VIF and makes it canonical.
func (p place) mac(s *string) {
	if *s == "" {
		return
	}
	m, err := flow.ParseMAC(strings.ToLower(strings.ReplaceAll(*s, "-", ":")))
	switch {
	case err != nil:
		p.refuse(*s, macForm)
	case m[0]&1 != 0:
		p.refuse(*s, "is a multicast address, which no VIF has; "+macForm)
	case m == flow.MAC{}:
		p.refuse(*s, "is all zeros, which no VIF has; "+macForm)
	default:
		*s = m.String()
	}
}

// hostBits says what may have been meant by a prefix with bits set after its
// length: the network, or one address in it. It is "" for anything else.
func hostBits(s string) string {
	prefix, err := netip.ParsePrefix(s)
	if err != nil || prefix == prefix.Masked() {
		return ""
	}
	return prefix.Masked().String() + " for the network or " + netip.PrefixFrom(prefix.Addr(), prefix.Addr().BitLen()).String() + " for the one address"
}

// parseRange reads an address or a prefix. The canonical form has no host bits,
// and no length when it is a single address.
func parseRange(s string) (netip.Prefix, string, bool) {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, "", false
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, "", false
	}
	prefix = prefix.Masked()
	if prefix.IsSingleIP() {
		return prefix, prefix.Addr().String(), true
	}
	return prefix, prefix.String(), true
}

// ipRange checks an optional address or prefix of either family and makes it
// canonical.
func (p place) ipRange(s *string) (prefix netip.Prefix) {
	if *s == "" {
		return netip.Prefix{}
	}
	prefix, canonical, ok := parseRange(*s)
	if meant := hostBits(*s); ok && meant != "" {
		p.refuse(*s, "has bits set after the prefix length; write %s", meant)
		return netip.Prefix{}
	}
	if !ok {
		p.refuse(*s, `must be an IP address or prefix like "192.0.2.7", "192.0.2.0/24" (length 0 to 32) or "2001:db8::/64" (length 0 to 128)`)
		return netip.Prefix{}
	}
	*s = canonical
	return prefix
}

// address checks an optional single IP address.
func (p place) address(s *string) {
	if *s == "" {
		return
	}
	addr, err := netip.ParseAddr(*s)
	switch {
	case err != nil, addr.Zone() != "", addr.Is4In6():
		p.refuse(*s, `must be an IP address like "192.0.2.7" or "2001:db8::7"`)
	case addr.IsUnspecified(), addr.IsMulticast(), addr.IsLoopback():
		p.refuse(*s, "cannot be the address of a host; a unicast IP address is accepted")
	default:
		*s = addr.String()
	}
}

// hostPort checks a required "IP:PORT" or "NAME:PORT".
func (p place) hostPort(s string) {
	host, port, ok := cutPort(s)
	if n, err := strconv.ParseUint(port, 10, 16); !ok || err != nil || n == 0 || host == "" || len(s) > 255 || strings.Contains(s, "/") {
		p.refuse(s, `must be an address and a port like "192.0.2.7:6650"`)
	}
}

func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// bridgeNames is what Linux accepts as the name of an interface, less what
// would have to be quoted.
const bridgeNames = `^[A-Za-z0-9_.-]{1,15}$`

// bridge checks an optional bridge name.
func (p place) bridge(s string) {
	if s == "" {
		return
	}
	if ok, _ := regexp.MatchString(bridgeNames, s); !ok || s == "." || s == ".." {
		p.refuse(s, `must have 1 to %d characters out of letters, digits, "_", "." and "-"`, maxBridgeName)
	}
}

// cookie checks a rule's label and makes it canonical: lower case, no "0x", no
// leading zeros, "0" for none.
func (p place) cookie(s *string) {
	digits := strings.ToLower(*s)
	digits = strings.TrimPrefix(digits, "0x")
	if *s == "" {
		*s = noCookie
		return
	}
	if _, err := strconv.ParseUint(digits, 16, 64); err != nil || len(digits) > 16 {
		p.refuse(*s, `must be 1 to 16 hexadecimal digits like "1f"`)
		return
	}
	*s = strings.TrimLeft(digits, "0")
	if *s == "" {
		*s = noCookie
	}
}

// noCookie is the label of rules without one.
const noCookie = "0"
