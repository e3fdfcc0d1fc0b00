package northbound

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
)

// ovsdbPort is the port ovsdb-server listens on for managers when none is given
// (RFC 7047, section 4.1.1 leaves it open; IANA registered 6640).
const ovsdbPort = 6640

// maxSystemID bounds Open_vSwitch.external_ids:system-id, in bytes.
const maxSystemID = 128

// hostFields are the fields of a host that a client may set.
func hostFields() []fieldRow[*v1.Host] {
	return []fieldRow[*v1.Host]{
		{path: "uuid", when: onCreate, check: func(h *v1.Host, at place) { at.uuid(&h.Uuid) }},
		{path: "name_label", when: always, check: func(h *v1.Host, at place) {
			at.name(h.GetNameLabel())
			if strings.Contains(h.GetNameLabel(), "/") {
				at.refuse(h.GetNameLabel(), `holds a "/", which separates host and interface in the name of a VIF; remove it`)
			}
		}},
		{path: "name_description", when: always, check: func(h *v1.Host, at place) { at.description(h.GetNameDescription()) }},
		{path: "pool_uuid", when: onCreate, check: func(h *v1.Host, at place) { at.requiredUUID(&h.PoolUuid) }},
		{path: "mode", when: always, check: func(h *v1.Host, at place) { requiredEnum(at, h.GetMode()) }},
		{path: "address", when: always, check: func(h *v1.Host, at place) { at.ovsdbTarget(&h.Address) }},
		{path: "system_id", when: always, check: func(h *v1.Host, at place) {
			if id := h.GetSystemId(); len(id) > maxSystemID || strings.ContainsFunc(id, unprintable) {
				at.refuse(id, "must be what `ovs-vsctl get Open_vSwitch . external_ids:system-id` prints on the host, up to %d characters", maxSystemID)
			}
		}},
		{path: "trust", when: always, check: checkTrust},
		{path: "certificate_sha256", when: always, check: func(h *v1.Host, at place) { at.fingerprint(&h.CertificateSha256) }},
		{path: "transport_address", when: always, check: func(h *v1.Host, at place) { at.address(&h.TransportAddress) }},
		{path: "managed", when: always},
		{path: "transport_guard", when: always, check: func(h *v1.Host, at place) { checkEnum(at, h.GetTransportGuard()) }},
		{path: "ipsec", when: always, check: func(h *v1.Host, at place) { checkEnum(at.field("credential"), h.GetIpsec().GetCredential()) }},
	}
}

// checkTrust gives trust its default.
func checkTrust(h *v1.Host, at place) {
	checkEnum(at, h.GetTrust())
	if h.GetTrust() != v1.TrustMode_TRUST_MODE_UNSPECIFIED {
		return
	}
	h.Trust = v1.TrustMode_TRUST_MODE_CA
	if h.GetCertificateSha256() != "" {
		h.Trust = v1.TrustMode_TRUST_MODE_PINNED
	}
}

// checkHost holds the fields of a host against each other.
func checkHost(h *v1.Host, at place) {
	switch h.GetMode() {
	case v1.ConnectionMode_CONNECTION_MODE_PASSIVE:
		if h.GetAddress() == "" {
			at.field("address").say(`is required when the controller connects to the host (mode passive): where the host's ovsdb-server listens, like "192.0.2.11" or "ssl:192.0.2.11:6640"`)
		}
	case v1.ConnectionMode_CONNECTION_MODE_ACTIVE:
		if h.GetAddress() != "" {
			at.field("address").refuse(h.GetAddress(), "must be empty when the host connects to the controller (mode active)")
		}
		if h.GetSystemId() == "" {
			at.field("system_id").say("is required when the host connects to the controller (mode active): what `ovs-vsctl get Open_vSwitch . external_ids:system-id` prints on the host")
		}
	}
	switch {
	case h.GetTrust() == v1.TrustMode_TRUST_MODE_PINNED && h.GetCertificateSha256() == "":
		at.field("certificate_sha256").say("is required to trust one pinned certificate: 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` prints them")
	case h.GetTrust() == v1.TrustMode_TRUST_MODE_CA && h.GetCertificateSha256() != "":
		at.field("certificate_sha256").refuse(h.GetCertificateSha256(), "would not be used: the host is trusted by the CA; leave it empty, or set trust to pinned")
	}
}

// ovsdbTarget checks where a passive host listens and makes it canonical:
// "ssl:IP:PORT".
func (p place) ovsdbTarget(s *string) {
	if *s == "" {
		return
	}
	rest := *s
	if len(rest) >= len("ssl:") && strings.EqualFold(rest[:len("ssl:")], "ssl:") {
		rest = rest[len("ssl:"):]
	}
	addr, port := rest, strconv.Itoa(ovsdbPort)
	if _, err := netip.ParseAddr(strings.Trim(rest, "[]")); err == nil {
		addr = strings.Trim(rest, "[]")
	} else if h, q, err := net.SplitHostPort(rest); err == nil {
		addr, port = h, q
	}
	ip, err := netip.ParseAddr(addr)
	n, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil, ip.Zone() != "", portErr != nil, n == 0:
		p.refuse(*s, `must be "ssl:IP[:PORT]" or "IP[:PORT]", like "192.0.2.11", "ssl:192.0.2.11:6640" or "[2001:db8::11]:6640"; without a port it is %d`, ovsdbPort)
	case ip.IsUnspecified(), ip.IsMulticast():
		p.refuse(*s, "cannot be the address of a host; a unicast IP address is accepted")
	default:
		*s = "ssl:" + net.JoinHostPort(ip.Unmap().String(), strconv.FormatUint(n, 10))
	}
}

// fingerprint checks a SHA-256 and makes it canonical: 64 lower-case digits.
// The colons that openssl prints are taken out.
func (p place) fingerprint(s *string) {
	if *s == "" {
		return
	}
	digits := strings.ToLower(strings.ReplaceAll(*s, ":", ""))
	if raw, err := hex.DecodeString(digits); err != nil || len(raw) != 32 {
		p.refuse(*s, "must be a SHA-256: 64 hexadecimal digits, with or without colons")
		return
	}
	*s = digits
}
