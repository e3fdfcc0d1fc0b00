// Package objecttext says in a few words what an object without a name of its own is: "client alice (pool-operator)",
// "shop pool-operator on network shop-net". It is the one place where that is done, so that the audit, the client and
// warnings call an object the same. Rules are written by policytext.
package objecttext

import (
	"cmp"
	"fmt"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
)

// Names finds what grants and tokens are for; each method returns nil for what does not exist. raftstore.View is one.
type Names interface {
	// Pool is the pool with a UUID.
	Pool(uuid string) *v1.Pool
	// Network is the network of a pool with a UUID.
	Network(uuid string) *v1.Network
	// PrivateNetwork is the private network with a UUID.
	PrivateNetwork(uuid string) *v1.PrivateNetwork
}

// CertificateOwner is whose a certificate is: "client alice (pool-operator)", "host xcp1", "node n1"; for one that was
// revoked without being on record its serial number, "serial 0a1b2c".
func CertificateOwner(c *v1.Certificate) string {
	name := OwnerName(c)
	if name == "" {
		return "serial " + c.GetSerial()
	}
	text := strings.TrimSpace(CertificateKind(c.GetKind()) + " " + name)
	if c.GetRole() != "" {
		text += " (" + c.GetRole() + ")"
	}
	return text
}

// OwnerName is the name of a certificate's owner; empty for one that was revoked without being on record.
func OwnerName(c *v1.Certificate) string { return cmp.Or(c.GetLabel(), c.GetName()) }

// CertificateKind is what the owner of a certificate is, in one word: "client"; empty for nobody knows what.
func CertificateKind(k v1.CertificateKind) string { return word("CERTIFICATE_KIND_", k.String()) }

// HostState is how a host is doing as people write it: "never-seen"; "unknown" for what nobody has said.
func HostState(s v1.HostState) string {
	return cmp.Or(word("HOST_STATE_", s.String()), "unknown")
}

// Role is a role as people write it: "pool-operator"; "none" for none.
func Role(r v1.Role) string {
	return cmp.Or(word("ROLE_", r.String()), "none")
}

// Reach is what a grant or a token is for: "pool paris", "network shop-net", or "cluster". What has no name is written
// by its UUID.
func Reach(names Names, pool, network string) string {
	switch {
	case pool != "":
		return "pool " + cmp.Or(names.Pool(pool).GetNameLabel(), pool)
	case network != "":
		return "network " + cmp.Or(names.Network(network).GetNameLabel(), names.PrivateNetwork(network).GetNameLabel(), network)
	}
	return "cluster"
}

// Grant is who may do what where: "shop pool-operator on network shop-net".
func Grant(names Names, g *v1.Grant) string {
	return fmt.Sprintf("%s %s on %s", g.GetPrincipal(), Role(g.GetRole()), Reach(names, g.GetPoolUuid(), g.GetNetworkUuid()))
}

// Token is whose a token is, and what it is good for when that is less than its owner's rights: "6f0c of shop (read-only,
// network shop-net)".
func Token(names Names, t *v1.Token) string {
	text := t.GetId() + " of " + t.GetOwner()
	if only := TokenLimits(names, t); only != "" {
		text += " (" + only + ")"
	}
	return text
}

// TokenLimits is what a token is narrowed to, "read-only, network shop-net"; empty for nothing.
func TokenLimits(names Names, t *v1.Token) string {
	var out []string
	if t.GetRole() != v1.Role_ROLE_UNSPECIFIED {
		out = append(out, Role(t.GetRole()))
	}
	if t.GetPoolUuid() != "" || t.GetNetworkUuid() != "" {
		out = append(out, Reach(names, t.GetPoolUuid(), t.GetNetworkUuid()))
	}
	return strings.Join(out, ", ")
}

// anchorDigits of a fingerprint are enough to tell CAs apart.
const anchorDigits = 16

// Anchor is a CA and how far it is used: "0123456789abcdef active".
func Anchor(a *v1.TrustAnchor) string {
	return fmt.Sprintf("%.*s %s", anchorDigits, a.GetFingerprint(), word("TRUST_ANCHOR_STATE_", a.GetState().String()))
}

// Anchors are all CAs on record: "0123456789abcdef active, fedcba9876543210 next"; "none" for none.
func Anchors(list []*v1.TrustAnchor) string {
	var out []string
	for _, a := range list {
		out = append(out, Anchor(a))
	}
	return cmp.Or(strings.Join(out, ", "), "none")
}

// word is the name of an enum's value as people write it; empty for none.
func word(prefix, name string) string {
	name = strings.TrimPrefix(name, prefix)
	if name == "UNSPECIFIED" {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}
