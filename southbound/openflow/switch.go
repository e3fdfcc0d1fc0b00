package openflow

import (
	"context"
	"crypto/x509"
	"net"
	"sync/atomic"
)

// Switch is one connection to one bridge, after hello and features. It starts
// in the equal role. All methods may be called at the same time; replies are
// correlated, and changes of flows run one after the other.
//
// A Switch ends when the peer closes, breaks the protocol or falls silent, or by
// Close. It never reconnects: the bridge does, and a new Switch comes of it.
type Switch struct {
	conn         *conn
	features     features
	certificates []*x509.Certificate
	portEvents   chan struct{}
	packetIns    chan PacketIn
	// wantPacketIns is set once somebody has asked for packet-ins.
	wantPacketIns atomic.Bool

	// changing is held by the one Apply that may be on its way: a switch keeps
	// each open bundle in memory, and a second one would gain nothing.
	changing chan struct{}
	// bundles is known after the first Apply; guarded by changing.
	bundles bundleSupport
}

func newSwitch(c *conn, f features, certificates []*x509.Certificate) *Switch {
	s := &Switch{
		conn: c, features: f, certificates: certificates,
		portEvents: make(chan struct{}, 1), changing: make(chan struct{}, 1),
		packetIns: make(chan PacketIn, maxPacketIns),
	}
	c.portStatus, c.packetIn = s.portChanged, s.packetArrived
	return s
}

// DatapathID is what the bridge calls itself. Any peer can claim any id: check
// PeerCertificates before believing it.
func (s *Switch) DatapathID() uint64 { return s.features.datapathID }

// RemoteAddr is the peer's address.
func (s *Switch) RemoteAddr() net.Addr { return s.conn.nc.RemoteAddr() }

// PeerCertificates is the chain the peer presented, leaf first; nil without TLS.
// It is verified only as far as the listener's tls.Config does.
func (s *Switch) PeerCertificates() []*x509.Certificate { return s.certificates }

// Done is closed when the connection has ended.
func (s *Switch) Done() <-chan struct{} { return s.conn.done }

// Err is why the connection ended; nil while it lives.
func (s *Switch) Err() error { return s.conn.reason() }

// Close ends the connection and makes Err return reason, or ErrClosed for nil.
// It does nothing when the connection has already ended.
func (s *Switch) Close(reason error) { s.conn.fail(reason) }

// PortEvents receives a value after ports were added, removed or changed.
// Several changes may come as one value: it only says to look again.
func (s *Switch) PortEvents() <-chan struct{} { return s.portEvents }

func (s *Switch) portChanged(body []byte) error {
	if err := checkPortStatus(body); err != nil {
		return err
	}
	select {
	case s.portEvents <- struct{}{}:
	default:
	}
	return nil
}

// Barrier returns when the switch has processed everything sent before it.
func (s *Switch) Barrier(ctx context.Context) error {
	return s.conn.request(ctx,
		func(xid uint32) []byte { return bare(typeBarrierRequest, xid) },
		expect(typeBarrierReply, nil))
}
