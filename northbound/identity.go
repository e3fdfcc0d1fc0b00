package northbound

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
)

// Role is what a client may do. A higher role may do everything a lower one may.
type Role int

// The roles, from nothing to everything.
const (
	// RoleNone may call nothing, but for what is for everyone.
	RoleNone Role = iota
	// RoleReadOnly may read everything but secrets.
	RoleReadOnly
	// RolePoolOperator may change pools, hosts, networks, VIFs and rules.
	RolePoolOperator
	// RolePoolAdmin may also issue certificates and change the cluster's nodes.
	RolePoolAdmin
	// RoleNode is a node. A member of the cluster may do what an administrator may,
	// and it speaks for clients whose calls it forwards; another one may join.
	RoleNode
)

// String returns the role's name.
func (r Role) String() string {
	switch r {
	case RoleReadOnly:
		return "read-only"
	case RolePoolOperator:
		return "pool-operator"
	case RolePoolAdmin:
		return "pool-admin"
	case RoleNode:
		return "node"
	}
	return "none"
}

// wire is the word for a role in the metadata of a forwarded call, which nodes of earlier versions read too.
func (r Role) wire() string {
	switch r {
	case RoleReadOnly:
		return "viewer"
	case RolePoolOperator:
		return "operator"
	case RolePoolAdmin:
		return "admin"
	}
	return r.String()
}

// ErrUnknownRole says that a word names no role.
var ErrUnknownRole = errors.New("unknown role")

// ParseRole returns the role of a name: "none", "read-only", "pool-operator", "pool-admin" or "node". The names
// that roles had in earlier versions are read too.
func ParseRole(name string) (Role, error) {
	for r := RoleNone; r <= RoleNode; r++ {
		if r.String() == name || r.wire() == name {
			return r, nil
		}
	}
	return RoleNone, fmt.Errorf("%w %q: none, read-only, pool-operator, pool-admin and node exist", ErrUnknownRole, name)
}

// credentialSocket is the credential of who calls by the unix socket; credentialCertificate begins that of who calls with a certificate.
const (
	credentialSocket      = "socket"
	credentialCertificate = "certificate "
)

// Identity is who calls.
type Identity struct {
	// Name is the name in the client's certificate, or that of a token's owner.
	Name string
	// Role is the one in the whole cluster that the certificate or the socket gives. What has been granted to
	// the name comes besides, see rights.
	Role Role
	// Via is the name of the node that forwarded the call; empty when the client
	// called here.
	Via string
	// Credential is what proved the name: "certificate SERIAL" with the serial number in lower-case
	// hexadecimal, "token ID", or "socket".
	Credential string
	// Address is where the client called from, "192.0.2.7:40112": that of the client itself also when
	// a node forwarded the call. Empty on the unix socket.
	Address string
	// outside: a node's certificate names no member of the cluster.
	outside bool
	// leaf is the certificate that was shown here; issuer is that of one that was shown to the node that forwarded the call.
	leaf   *x509.Certificate
	issuer string
}

// String is what logs and messages call the client.
func (i Identity) String() string {
	if i.Via != "" {
		return i.Name + " via " + i.Via
	}
	return i.Name
}

// Metadata with which a node forwards a call. It is believed only from nodes.
const (
	// forwardedKey marks a call that has been forwarded; its value is the id of
	// the node that did. A call is forwarded once.
	forwardedKey = "poolwire-forwarded-by"
	// callerNameKey and callerRoleKey are the identity of the client.
	callerNameKey = "poolwire-caller-name-bin"
	callerRoleKey = "poolwire-caller-role"
	// callerCredentialKey and callerAddressKey are Identity.Credential and Identity.Address of the client.
	callerCredentialKey = "poolwire-caller-credential-bin"
	callerAddressKey    = "poolwire-caller-address-bin"
	// callerIssuerKey is the issuer of the client's certificate, see madeWith.
	callerIssuerKey = "poolwire-caller-issuer-bin"
)

// identify finds out who calls. A token decides, where one comes with the call, whatever else there is. A peer on the
// unix socket, which only root can open, is an administrator; any other needs a certificate.
func (s *Server) identify(ctx context.Context) (Identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return Identity{}, status.Error(codes.Unauthenticated, "the caller is not known")
	}
	info, secured := p.AuthInfo.(credentials.TLSInfo)
	local := !secured && p.Addr.Network() == "unix"
	if !secured && !local {
		return Identity{}, status.Error(codes.Unauthenticated, "use TLS with a client certificate or a token, or the unix socket on the controller's own machine")
	}
	if md, _ := metadata.FromIncomingContext(ctx); len(md.Get(tokenKey)) > 0 {
		address := ""
		if !local {
			address = p.Addr.String()
		}
		return s.bearer(md.Get(tokenKey), address)
	}
	if local {
		return Identity{Name: "local root", Role: RolePoolAdmin, Credential: credentialSocket}, nil
	}
	cert := leafOf(info)
	if cert == nil {
		return Identity{}, status.Error(codes.Unauthenticated, "neither a client certificate nor a token was presented")
	}
	if time.Now().After(cert.NotAfter) {
		return Identity{}, status.Errorf(codes.Unauthenticated, "the client certificate of %q has ended on %s", cert.Subject.CommonName, cert.NotAfter.UTC().Format(time.RFC3339))
	}
	who, err := s.cfg.Identify(cert)
	if err != nil {
		return Identity{}, status.Errorf(codes.Unauthenticated, "the client certificate of %q is not accepted: %v", cert.Subject.CommonName, err)
	}
	who.Credential, who.Address, who.leaf = credentialCertificate+pki.Serial(cert), p.Addr.String(), cert
	if who.Role == RoleNode {
		if who, err = s.fromNode(ctx, who); err != nil {
			return Identity{}, err
		}
	}
	// A node says that somebody had a token; whether it is still good, each node looks for itself.
	return who, tokenStands(s.cfg.Store.View(), who)
}

// madeWith tells which certificate is behind what a caller makes: fingerprint of its issuer, empty where nobody knows it, and serial
// number; nothing for callers without one.
func (s *Server) madeWith(who Identity) (issuer, serial string) {
	serial, ok := strings.CutPrefix(who.Credential, credentialCertificate)
	switch {
	case !ok:
		return "", ""
	case who.leaf != nil:
		return s.cfg.CA.IssuerOf(who.leaf), serial
	}
	return who.issuer, serial
}

// leafOf returns the client's certificate, which the listener's own configuration has verified in the
// handshake (pki.Authority.APIServerTLS); nil when there is none.
func leafOf(info credentials.TLSInfo) *x509.Certificate {
	if certs := info.State.PeerCertificates; len(certs) > 0 {
		return certs[0]
	}
	return nil
}

// fromNode looks at what a node says. That somebody has a node's certificate makes him no member of the cluster:
// what was issued may never have been used, and a member may have been removed.
func (s *Server) fromNode(ctx context.Context, who Identity) (Identity, error) {
	if !s.isMember(who.Name) {
		if forwarded(ctx) {
			return Identity{}, status.Errorf(codes.Unauthenticated, "node %q is no member of the cluster, and forwards no calls", who.Name)
		}
		who.outside = true
		return who, nil
	}
	who, err := spokenFor(ctx, who)
	who.outside = who.Role == RoleNode && who.Via != "" && !s.isMember(who.Name)
	return who, err
}

// isMember tells whether a node is a member of the cluster, as far as this one knows.
func (s *Server) isMember(id string) bool {
	nodes, err := s.cfg.Store.Nodes()
	return err == nil && slices.ContainsFunc(nodes, func(n *v1.Node) bool { return n.GetId() == id })
}

// forJoining tells whether a node that is no member may call a method: to become one, and what everybody may.
func forJoining(method string) bool {
	switch method {
	case v1.ClusterService_AddNode_FullMethodName, v1.ClusterService_GetNodeStatus_FullMethodName:
		return true
	}
	return permissions[method].reach == reachAnyone
}

// spokenFor returns the client a node forwards for, when it does.
func spokenFor(ctx context.Context, who Identity) (Identity, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	roles := md.Get(callerRoleKey)
	if len(md.Get(forwardedKey)) == 0 || len(roles) == 0 {
		return who, nil
	}
	role, err := ParseRole(roles[0])
	if err != nil {
		return Identity{}, status.Errorf(codes.Unauthenticated, "forwarded by %s: %v", who.Name, err)
	}
	return Identity{
		Name: firstOf(md, callerNameKey), Role: role, Via: who.Name,
		Credential: firstOf(md, callerCredentialKey), Address: firstOf(md, callerAddressKey),
		issuer: firstOf(md, callerIssuerKey),
	}, nil
}

// firstOf returns the first value of a key of metadata; empty when there is none.
func firstOf(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// forwarded tells whether a node forwarded this call here.
func forwarded(ctx context.Context) bool {
	md, _ := metadata.FromIncomingContext(ctx)
	return len(md.Get(forwardedKey)) > 0
}
