package ovsdb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"poolwire/southbound/gate"
)

// ErrBadAddress says that an address is not in one of the forms of [Dial].
var ErrBadAddress = errors.New("not an ovsdb address (ssl:IP:PORT, tcp:IP:PORT or unix:FILE)")

// Dial connects to a passive host at an address in the form of ovsdb(7):
// ssl:IP:PORT, tcp:IP:PORT or unix:FILE, IPv6 addresses in brackets. The context
// bounds the TLS handshake too. Whom the certificate must belong to is the
// business of config (VerifyConnection): hosts have no names to check.
func Dial(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	return Dialer{TLS: config}.Dial(ctx, address)
}

// Dialer connects to passive hosts.
type Dialer struct {
	// TLS is for addresses that begin with ssl.
	TLS *tls.Config
	// Gate gives out the turns of TLS handshakes and of what [NewSession] reads first; nil
	// for no such order.
	Gate *gate.Gate
	// Timeout bounds connecting, and the TLS handshake once it is its turn; 0 for 10 s.
	Timeout time.Duration
}

// Dial is [Dial] with a Dialer.
func (d Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	plain := net.Dialer{Timeout: d.Timeout}
	if plain.Timeout <= 0 {
		plain.Timeout = DefaultHandshakeTimeout
	}
	if scheme == "unix" && rest != "" {
		return plain.DialContext(ctx, "unix", rest)
	}
	if _, err := netip.ParseAddrPort(rest); err != nil {
		return nil, fmt.Errorf("%q: %w", address, ErrBadAddress)
	}
	switch scheme {
	case "tcp":
		return plain.DialContext(ctx, "tcp", rest)
	case "ssl":
		if d.TLS == nil {
			return nil, fmt.Errorf("dialling %s: no TLS configuration", address)
		}
		return d.secure(ctx, &plain, rest)
	}
	return nil, fmt.Errorf("%q: %w", address, ErrBadAddress)
}

// secure connects, and makes the handshake with turns of the gate.
func (d Dialer) secure(ctx context.Context, plain *net.Dialer, address string) (net.Conn, error) {
	raw, err := plain.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(d.Gate.Conn(raw), d.TLS)
	if err := gate.Begin(ctx, conn); err != nil {
		_ = conn.NetConn().Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, plain.Timeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.NetConn().Close()
		return nil, err
	}
	return conn, nil
}
