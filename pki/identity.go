package pki

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Kind says what a certificate's owner is.
type Kind string

// The kinds of owners: the host part of the identity URI.
const (
	KindHost   Kind = "host"
	KindIPsec  Kind = "ipsec"
	KindNode   Kind = "node"
	KindClient Kind = "client"
)

const uriScheme = "poolwire"

// Role is what a client of the API may do in the whole cluster.
type Role string

// The roles, each including the next.
const (
	// RolePoolAdmin may do everything, certificates and cluster membership included.
	RolePoolAdmin Role = "pool-admin"
	// RolePoolOperator may change intent.
	RolePoolOperator Role = "pool-operator"
	// RoleReadOnly may only read.
	RoleReadOnly Role = "read-only"
	// RoleNone is that of a client whose certificate gives it no role: it may do what it has been
	// granted by name.
	RoleNone Role = ""
)

// Roles lists the roles that a certificate can give, the mightiest first.
func Roles() []Role { return []Role{RolePoolAdmin, RolePoolOperator, RoleReadOnly} }

const rolesAccepted = "pool-admin, pool-operator, read-only or none"

// ParseRole returns the role of that name, or an [*InputError]. "none" is RoleNone.
func ParseRole(s string) (Role, error) {
	switch {
	case s == "none":
		return RoleNone, nil
	case slices.Contains(Roles(), Role(s)):
		return Role(s), nil
	}
	return RoleNone, &InputError{"role", s, rolesAccepted}
}

// recordedRole is ParseRole for certificates, which may be of earlier versions, that had other names for roles.
func recordedRole(s string) (Role, error) {
	switch s {
	case "admin":
		return RolePoolAdmin, nil
	case "operator":
		return RolePoolOperator, nil
	case "viewer":
		return RoleReadOnly, nil
	}
	return ParseRole(s)
}

// Identity is who a certificate belongs to.
type Identity struct {
	// Kind says what Name is.
	Kind Kind
	// Name is the host's uuid in lower case, of both its kinds, the node's id or the client's name.
	Name string
	// Role is a client's; RoleNone for others.
	Role Role
}

// String returns the URI that a certificate carries.
func (id Identity) String() string { return id.url().String() }

func (id Identity) url() *url.URL {
	return &url.URL{Scheme: uriScheme, Host: string(id.Kind), Path: "/" + id.Name}
}

// IdentityOf reads the identity in a certificate that was verified before: it
// trusts what it reads. A certificate with no identity, with two, or a client's
// with two roles or an unknown one, is an error.
func IdentityOf(cert *x509.Certificate) (Identity, error) {
	var found []*url.URL
	for _, u := range cert.URIs {
		if u.Scheme == uriScheme {
			found = append(found, u)
		}
	}
	if len(found) != 1 {
		return Identity{}, fmt.Errorf("certificate has %d %s URIs, want 1", len(found), uriScheme)
	}
	id := Identity{Kind: Kind(found[0].Host), Name: strings.TrimPrefix(found[0].Path, "/")}
	if err := id.check(); err != nil {
		return Identity{}, fmt.Errorf("certificate's URI %q: %w", bounded(found[0].String()), err)
	}
	if id.Kind == KindClient {
		switch n := len(cert.Subject.Organization); n {
		case 0:
			return id, nil
		case 1:
		default:
			return Identity{}, fmt.Errorf("client certificate has %d Organizations, want at most 1", n)
		}
		role, err := recordedRole(cert.Subject.Organization[0])
		if err != nil {
			return Identity{}, fmt.Errorf("client certificate's Organization: %w", err)
		}
		id.Role = role
	}
	return id, nil
}

// 64 is the longest common name of RFC 5280, appendix A.1.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

const nameAccepted = "1 to 64 letters, digits, '.', '_', '@' or '-', the first a letter or digit"

func (id Identity) check() error {
	switch id.Kind {
	case KindHost, KindIPsec:
		u, err := uuid.Parse(id.Name)
		if err != nil || u.String() != id.Name {
			return &InputError{"host uuid", bounded(id.Name), "a uuid in lower case"}
		}
	case KindNode, KindClient:
		if !namePattern.MatchString(id.Name) {
			return &InputError{string(id.Kind) + " name", bounded(id.Name), nameAccepted}
		}
	default:
		return &InputError{"kind", bounded(string(id.Kind)), "host, ipsec, node or client"}
	}
	return nil
}

var dnsPattern = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$`)

// addressNames splits addresses into the IP and DNS names of a subjectAltName,
// each in canonical form and once. Every node also answers on the loopback.
func addressNames(addresses []string) (ips []net.IP, names []string, err error) {
	for _, s := range append([]string{"127.0.0.1", "::1", "localhost"}, addresses...) {
		if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
			ip = ip.Unmap()
			if !slices.ContainsFunc(ips, func(have net.IP) bool { return have.Equal(ip.AsSlice()) }) {
				ips = append(ips, ip.AsSlice())
			}
			continue
		}
		if len(s) > 253 || !dnsPattern.MatchString(s) {
			return nil, nil, &InputError{"address", bounded(s), "an IP address or a DNS name, without a port"}
		}
		if s = strings.ToLower(s); !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	return ips, names, nil
}

// bounded makes text of a peer's harmless in logs and messages.
func bounded(s string) string {
	const limit = 200
	s = strings.ToValidUTF8(s, "?")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '?'
		}
		return r
	}, s)
}
