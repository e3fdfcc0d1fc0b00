package simhost

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"poolwire/southbound/openflow/openflowtest"
	"poolwire/southbound/ovsdb"
	"poolwire/southbound/ovsdb/ovsdbtest"
)

// ovsdbPort is where a passive host listens.
const ovsdbPort = 6640

// handshakeTimeout bounds what a client of the database may take for TLS.
const handshakeTimeout = 30 * time.Second

// Options describe a Host.
type Options struct {
	// Name is its name_label, UUID its system-id and what its certificate says.
	Name, UUID string
	// Addr is its address, of 127.0.0.0/8.
	Addr netip.Addr
	// TLS has its certificate.
	TLS *tls.Config
	// VIFs is how many there are on its bridge.
	VIFs int
	// Managers are the targets that its OVSDB server dials, ssl:ADDR:PORT (an active host, ovs-vswitchd.conf.db(5),
	// Manager); with none it listens.
	Managers []string
}

// Bridge is the bridge that every host has; its uplink is eth0.
const Bridge = "xenbr0"

// Host is one simulated host.
type Host struct {
	Options

	db       *ovsdbtest.Host
	listener net.Listener
	ctx      context.Context
	end      context.CancelFunc
	running  sync.WaitGroup
	counts   *counts

	mu       sync.Mutex
	switches map[string]*simSwitch // by bridge
}

// start makes a host, with its bridge and VIFs, and has it listen or dial. Its goroutines run until
// close.
func start(ctx context.Context, opts Options, counts *counts) (*Host, error) {
	h := &Host{Options: opts, counts: counts, switches: map[string]*simSwitch{}}
	h.ctx, h.end = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if h.db, err = ovsdbtest.Start(ctx, ovsdbtest.Config{SystemID: opts.UUID, Followed: h.follow}); err != nil {
		h.end()
		return nil, err
	}
	if err := h.db.Transact(ctx, opts.rows()...); err != nil {
		h.close()
		return nil, fmt.Errorf("simhost: rows of %s: %w", opts.Name, err)
	}
	for _, target := range opts.Managers {
		h.running.Go(func() {
			redial(h.ctx, func(patience time.Duration) bool { return h.manage(target, patience) })
		})
	}
	if len(opts.Managers) > 0 {
		return h, nil
	}
	h.listener, err = net.Listen("tcp", netip.AddrPortFrom(opts.Addr, ovsdbPort).String())
	if err != nil {
		h.close()
		return nil, fmt.Errorf("simhost: %w", err)
	}
	h.running.Go(h.accept)
	return h, nil
}

func (h *Host) close() {
	h.end()
	if h.listener != nil {
		_ = h.listener.Close()
	}
	h.db.Close()
	h.running.Wait()
}

// accept serves the database to whoever the CA has signed.
func (h *Host) accept() {
	for {
		raw, err := h.listener.Accept()
		if err != nil {
			return
		}
		h.running.Go(func() {
			conn := tls.Server(raw, h.TLS)
			ctx, cancel := context.WithTimeout(h.ctx, handshakeTimeout)
			err := conn.HandshakeContext(ctx)
			cancel()
			if err != nil {
				_ = raw.Close()
				return
			}
			h.counts.ovsdb.Add(1)
			h.db.Serve(conn)
		})
	}
}

// manage makes one connection of the database to a target and serves it. It tells whether the connection came up.
func (h *Host) manage(target string, patience time.Duration) (up bool) {
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	conn, err := h.dialOnce(ctx, target)
	cancel()
	if err != nil {
		return false
	}
	h.counts.ovsdb.Add(1)
	h.db.Serve(conn)
	return true
}

// follow makes the switches what the database says.
func (h *Host) follow(s *ovsdb.Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	there := map[string]bool{}
	for _, row := range s.Bridges {
		if row.DatapathID == "" {
			continue
		}
		there[row.Name] = true
		sw := h.switches[row.Name]
		if sw == nil {
			sw = newSwitch(h, row)
			h.switches[row.Name] = sw
		}
		sw.follow(s, row)
	}
	for name, sw := range h.switches {
		if !there[name] {
			sw.controlledBy(nil)
			delete(h.switches, name)
		}
	}
}

// Switch is the switch of a bridge, nil while there is none.
func (h *Host) Switch(bridge string) *openflowtest.Switch {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sw := h.switches[bridge]; sw != nil {
		return sw.Switch
	}
	return nil
}

// dialOnce connects to a target such as ssl:ADDR:PORT from the host's own address.
func (h *Host) dialOnce(ctx context.Context, target string) (net.Conn, error) {
	addr, ok := strings.CutPrefix(target, "ssl:")
	if !ok {
		return nil, errors.New("simhost: not an ssl target: " + target)
	}
	d := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.Addr, 0))}
	return (&tls.Dialer{NetDialer: d, Config: h.TLS}).DialContext(ctx, "tcp", addr)
}
