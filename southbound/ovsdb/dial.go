package ovsdb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// ErrBadAddress says that an address is not in one of the forms of [Dial].
var ErrBadAddress = errors.New("not an ovsdb address (ssl:IP:PORT, tcp:IP:PORT or unix:FILE)")

// Dial connects to a passive host at an address in the form of ovsdb(7):
// ssl:IP:PORT, tcp:IP:PORT or unix:FILE, IPv6 addresses in brackets. The context
// bounds the TLS handshake too. Whom the certificate must belong to is the
// business of config (VerifyConnection): hosts have no names to check.
func Dial(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	var d net.Dialer
	if scheme == "unix" && rest != "" {
		return d.DialContext(ctx, "unix", rest)
	}
	if _, err := netip.ParseAddrPort(rest); err != nil {
		return nil, fmt.Errorf("%q: %w", address, ErrBadAddress)
	}
	switch scheme {
	case "tcp":
		return d.DialContext(ctx, "tcp", rest)
	case "ssl":
		if config == nil {
			return nil, fmt.Errorf("dialling %s: no TLS configuration", address)
		}
		return (&tls.Dialer{NetDialer: &d, Config: config}).DialContext(ctx, "tcp", rest)
	}
	return nil, fmt.Errorf("%q: %w", address, ErrBadAddress)
}
