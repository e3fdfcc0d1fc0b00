package objecttext

import (
	"testing"

	v1 "poolwire/proto/poolwire/v1"
)

// names has one pool and one network of each kind.
type names struct{}

func (names) Pool(uuid string) *v1.Pool {
	if uuid == "p1" {
		return &v1.Pool{NameLabel: "paris"}
	}
	return nil
}

func (names) Network(uuid string) *v1.Network {
	if uuid == "n1" {
		return &v1.Network{NameLabel: "office"}
	}
	return nil
}

func (names) PrivateNetwork(uuid string) *v1.PrivateNetwork {
	if uuid == "n2" {
		return &v1.PrivateNetwork{NameLabel: "shop-net"}
	}
	return nil
}

func TestWords(t *testing.T) {
	t.Parallel()
	operator := v1.Role_ROLE_POOL_OPERATOR
	for want, got := range map[string]string{
		"client alice (pool-operator)": CertificateOwner(&v1.Certificate{Kind: v1.CertificateKind_CERTIFICATE_KIND_CLIENT, Name: "alice", Role: "pool-operator"}),
		"host xcp1":                    CertificateOwner(&v1.Certificate{Kind: v1.CertificateKind_CERTIFICATE_KIND_HOST, Name: "u1", Label: "xcp1"}),
		"node n1":                      CertificateOwner(&v1.Certificate{Kind: v1.CertificateKind_CERTIFICATE_KIND_NODE, Name: "n1"}),
		"serial 0a1b":                  CertificateOwner(&v1.Certificate{Serial: "0a1b"}),

		"shop pool-operator on network shop-net": Grant(names{}, &v1.Grant{Principal: "shop", Role: operator, NetworkUuid: "n2"}),
		"shop pool-operator on network office":   Grant(names{}, &v1.Grant{Principal: "shop", Role: operator, NetworkUuid: "n1"}),
		"shop pool-operator on pool paris":       Grant(names{}, &v1.Grant{Principal: "shop", Role: operator, PoolUuid: "p1"}),
		"shop pool-operator on pool gone":        Grant(names{}, &v1.Grant{Principal: "shop", Role: operator, PoolUuid: "gone"}),
		"shop read-only on cluster":              Grant(names{}, &v1.Grant{Principal: "shop", Role: v1.Role_ROLE_READ_ONLY}),
		"shop none on cluster":                   Grant(names{}, &v1.Grant{Principal: "shop"}),

		"6f0c of shop": Token(names{}, &v1.Token{Id: "6f0c", Owner: "shop"}),
		"6f0c of shop (read-only, network shop-net)": Token(names{}, &v1.Token{Id: "6f0c", Owner: "shop", Role: v1.Role_ROLE_READ_ONLY, NetworkUuid: "n2"}),

		"never-seen": HostState(v1.HostState_HOST_STATE_NEVER_SEEN),
		"unknown":    HostState(0),

		"none": Anchors(nil),
		"0123456789abcdef retiring, ff active": Anchors([]*v1.TrustAnchor{
			{Fingerprint: "0123456789abcdef0123", State: v1.TrustAnchorState_TRUST_ANCHOR_STATE_RETIRING},
			{Fingerprint: "ff", State: v1.TrustAnchorState_TRUST_ANCHOR_STATE_ACTIVE},
		}),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
