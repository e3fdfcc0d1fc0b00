package controller

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// A probe is an Ethernet frame of a protocol of its own that the controller has one switch send through a
// tunnel, and that the switch at the other end hands back to it:
//
//	destination 02:50:57:00:00:02 (6) | source 02:50:57:00:00:01 (6) | 0x88b5 (2) | "PWPB" (4) | nonce (16) | zeros
//
// The nonce is new for each, and known to nobody before it is sent: a probe that arrives was sent after
// whatever was done before.
const (
	probeHead  = 14 + len(probeMagic) + nonceBytes
	probeMagic = "PWPB"
	nonceBytes = 16
	// probeWait is how long a probe may take.
	probeWait = 2 * time.Second
	// maxProbe is the longest probe, in bytes without the outer headers.
	maxProbe = 9216
)

type nonce [nonceBytes]byte

// errProbeLost: a probe did not arrive in time.
var errProbeLost = errors.New("controller: the probe did not arrive")

// probes are those on their way.
type probes struct {
	mu      sync.Mutex
	waiting map[nonce]*sentProbe // guarded by mu
}

// sentProbe is where a probe has to arrive.
type sentProbe struct {
	host, iface string
	arrived     chan struct{}
}

func newProbes() *probes { return &probes{waiting: map[nonce]*sentProbe{}} }

// probe sends a probe of a size, in bytes of the inner frame, from one end of a tunnel and waits until it
// arrives at the other. errProbeLost when it does not; other errors when it could not be sent.
func (l *leader) probe(ctx context.Context, from, to linkEnd, size int) error {
	sw := l.switchOf(from.host, overlayBridge)
	if sw == nil || from.ofport == 0 || to.ofport == 0 {
		return fmt.Errorf("%w: overlay bridge of %s", ErrHostAway, from.host)
	}
	var n nonce
	if _, err := rand.Read(n[:]); err != nil {
		return err
	}
	w := &sentProbe{host: to.host, iface: to.name, arrived: make(chan struct{})}
	l.probes.expect(n, w)
	defer l.probes.forget(n)
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	actions := []flow.Action{flow.SetTunnelID(flowcompiler.ProbeVNI), flow.Output(from.ofport)}
	if err := sw.PacketOut(ctx, flow.PortController, actions, probeFrame(n, size)); err != nil {
		return err
	}
	select {
	case <-w.arrived:
		return nil
	case <-ctx.Done():
		return errProbeLost
	}
}

// switchOf is the session with a bridge, nil when there is none.
func (l *leader) switchOf(host, bridge string) *openflow.Switch {
	h := l.host(host)
	if h == nil {
		return nil
	}
	for _, a := range h.bridgeActors() {
		if a.name == bridge {
			return a.state.Load().session
		}
	}
	return nil
}

func probeFrame(n nonce, size int) []byte {
	b := make([]byte, min(max(size, probeHead), maxProbe))
	copy(b, []byte{0x02, 0x50, 0x57, 0, 0, 2, 0x02, 0x50, 0x57, 0, 0, 1})
	binary.BigEndian.PutUint16(b[12:], flowcompiler.ProbeEtherType)
	copy(b[14:], probeMagic)
	copy(b[14+len(probeMagic):], n[:])
	return b
}

func (p *probes) expect(n nonce, w *sentProbe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[n] = w
}

func (p *probes) forget(n nonce) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, n)
}

// arrive takes a packet that a switch handed over, and reports whether it was a probe that was expected there, by
// that interface.
func (p *probes) arrive(host, iface string, in openflow.PacketIn) bool {
	if in.Table != uint8(flowcompiler.TableClassify) || !flowcompiler.Own(in.Cookie) || len(in.Data) < probeHead ||
		binary.BigEndian.Uint16(in.Data[12:]) != flowcompiler.ProbeEtherType || string(in.Data[14:18]) != probeMagic {
		return false
	}
	n := nonce(in.Data[14+len(probeMagic):])
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.waiting[n]
	if w == nil || w.host != host || w.iface != iface {
		return false
	}
	delete(p.waiting, n)
	close(w.arrived)
	return true
}
