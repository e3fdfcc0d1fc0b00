package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"

	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/gate"
	"poolwire/southbound/ovsdb"
)

// hosts knows how to reach and to recognise hosts.
type hosts struct {
	authority *pki.Authority
	gate      *gate.Gate
	open      *connections
}

// dial opens an OVSDB connection to a passive host.
func (h hosts) dial(ctx context.Context, address string) (net.Conn, error) {
	if !strings.HasPrefix(address, "ssl:") {
		address = "ssl:" + address
	}
	if _, _, err := net.SplitHostPort(strings.TrimPrefix(address, "ssl:")); err != nil {
		address = "ssl:" + net.JoinHostPort(strings.Trim(strings.TrimPrefix(address, "ssl:"), "[]"), ovsdbPort)
	}
	conn, err := ovsdb.Dialer{TLS: h.authority.DialTLS(), Gate: h.gate}.Dial(ctx, address)
	if secured, ok := conn.(*tls.Conn); ok && err == nil {
		h.keep(secured)
	}
	return conn, err
}

// keep has the connection ended when something turns up against the host's certificate.
func (h hosts) keep(conn *tls.Conn) {
	below, ok := conn.NetConn().(*gate.Conn)
	if !ok {
		return
	}
	go func() {
		<-below.Done()
		h.open.forget(below)
	}()
	h.open.keep(below, conn.ConnectionState().PeerCertificates)
}

// ovsdbPort is the port of OVSDB (IANA service ovsdb).
const ovsdbPort = "6640"

// verify checks that certificates are a host's. With first use, the pin is
// what the store recorded when the host was first observed.
func (h hosts) verify(v *raftstore.View, uuid string, certs []*x509.Certificate) error {
	host := v.Host(uuid)
	if host == nil {
		return fmt.Errorf("host %s is not registered", uuid)
	}
	_, err := h.authority.VerifyHost(certs, pki.HostIdentity{UUID: uuid, Trust: trustOf(host.GetTrust()), PinnedSHA256: host.GetCertificateSha256()})
	return err
}

// known tells whether certificates are those of the registered host with a system-id, as the store has it on this node;
// where that is empty, of the registered host that they name or that they are pinned for.
func (h hosts) known(v *raftstore.View, systemID string, certs []*x509.Certificate) bool {
	if len(certs) == 0 {
		return false
	}
	host := v.HostBySystemID(systemID)
	if systemID == "" {
		if id, err := pki.IdentityOf(certs[0]); err == nil && id.Kind == pki.KindHost {
			host = v.Host(id.Name)
		}
		if host == nil || trustOf(host.GetTrust()) == pki.TrustFirstUse {
			// Before its first use a host would be whoever names it.
			host = v.HostByCertificate(pki.Fingerprint(certs[0]))
		}
	}
	return host != nil && h.verify(v, host.GetUuid(), certs) == nil
}

func trustOf(t poolwirev1.TrustMode) pki.Trust {
	switch t {
	case poolwirev1.TrustMode_TRUST_MODE_CA:
		return pki.TrustCA
	case poolwirev1.TrustMode_TRUST_MODE_PINNED:
		return pki.TrustPinned
	case poolwirev1.TrustMode_TRUST_MODE_FIRST_USE:
		return pki.TrustFirstUse
	}
	return pki.TrustDefault
}
