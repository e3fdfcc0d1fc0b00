package openflow

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"poolwire/southbound/gate"
)

// ids of the messages of the handshake, all below firstXid.
const (
	helloXid    uint32 = 2
	featuresXid uint32 = 3
	asyncXid    uint32 = 4
)

// securedConn is what a *tls.Conn has beyond a net.Conn.
type securedConn interface {
	HandshakeContext(ctx context.Context) error
	ConnectionState() tls.ConnectionState
}

// Handshake makes a Switch of a connection to a bridge: TLS if nc is a
// *tls.Conn, then hello and features, all within HandshakeTimeout. It owns nc,
// and closes it when it returns an error. ctx bounds only the handshake.
//
// Besides connections from a listener this serves the management socket of a
// bridge on the same host (<rundir>/<bridge>.mgmt).
func Handshake(ctx context.Context, nc net.Conn, cfg ConnConfig) (*Switch, error) {
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, cfg.HandshakeTimeout)
	defer cancel()
	// A deadline in the past wakes every read and write as soon as ctx ends.
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	s, err := handshake(ctx, nc, cfg)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
		return nil, fmt.Errorf("openflow: handshake: %w", err)
	}
	gate.Settled(nc)
	s.conn.start()
	return s, nil
}

func handshake(ctx context.Context, nc net.Conn, cfg ConnConfig) (*Switch, error) {
	var certificates []*x509.Certificate
	if secured, ok := nc.(securedConn); ok {
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		certificates = secured.ConnectionState().PeerCertificates
	}
	if _, err := nc.Write(hello(helloXid)); err != nil {
		return nil, err
	}
	frames := newFrameReader(nc)
	if err := negotiate(nc, frames); err != nil {
		return nil, err
	}
	ask := append(bare(typeFeaturesRequest, featuresXid), asyncPortStatusOnly(asyncXid)...)
	if _, err := nc.Write(ask); err != nil {
		return nil, err
	}
	f, err := awaitFeatures(nc, frames)
	if err != nil {
		return nil, err
	}
	if f.auxiliaryID != 0 {
		return nil, protocolErrorf("auxiliary connection %d", f.auxiliaryID)
	}
	return newSwitch(newConn(nc, frames, cfg), f, certificates), nil
}

// negotiate reads the peer's hello, which must be its first message.
func negotiate(nc net.Conn, frames *frameReader) error {
	frames.helloOnly, frames.limit = true, helloLimit
	m, err := frames.next()
	if err != nil {
		return err
	}
	offered, err := helloOffers13(m)
	if err != nil {
		return err
	}
	if !offered {
		_, _ = nc.Write(helloFailed(m.xid)) // a courtesy; the connection ends anyway
		return fmt.Errorf("%w (its highest version is 0x%02x)", ErrVersion, m.version)
	}
	frames.helloOnly, frames.limit = false, maxMessageLen
	return nil
}

// awaitFeatures reads until the features reply, answering echo requests. A
// version negotiation that fails on the peer's side arrives here as an error.
func awaitFeatures(nc net.Conn, frames *frameReader) (features, error) {
	for range maxHandshakeMessages {
		m, err := frames.next()
		if err != nil {
			return features{}, err
		}
		switch m.kind {
		case typeFeaturesReply:
			return decodeFeatures(m.body)
		case typeEchoRequest:
			if _, err := nc.Write(withBody(typeEchoReply, m.xid, m.body)); err != nil {
				return features{}, err
			}
		case typeError:
			e, err := decodeError(m.body)
			if err != nil {
				return features{}, err
			}
			if m.xid != asyncXid {
				return features{}, e
			}
		}
		if m.kind > typeMeterMod {
			return features{}, protocolErrorf("message of type %d", m.kind)
		}
	}
	return features{}, errors.New("openflow: no features reply among the first messages")
}
