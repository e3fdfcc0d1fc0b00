package e2e

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/southbound/openflow/openflowtest"
)

// certificateOf is the certificate and key of a host: what somebody has who has taken it over.
func certificateOf(t *testing.T, h *lab.Host) tls.Certificate {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(filepath.Join(h.Dir, "pki", "cert.pem"), filepath.Join(h.Dir, "pki", "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// reach opens a TLS connection to a port of the controller from a host, with its certificate.
func (p *pair) reach(ctx context.Context, h *lab.Host, port uint16, cert tls.Certificate) (net.Conn, error) {
	plain, err := h.Dial(ctx, "tcp", netip.AddrPortFrom(p.Lab.ControllerAddr(), port).String())
	if err != nil {
		return nil, err
	}
	c := tls.Client(plain, &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}) //nolint:gosec // the attacker trusts anybody
	if err := c.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	return c, nil
}

// message is an OpenFlow 1.3 message.
func message(kind uint8, body ...byte) []byte {
	out := []byte{4, kind, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(out[2:], uint16(8+len(body)))
	return append(out, body...)
}

// torrent is what a switch may send at any time, many of each.
func torrent() []byte {
	packetIn := append(make([]byte, 16), 0, 1, 0, 4, 0, 0, 0, 0, 0, 0)        // no buffer, OFPR_NO_MATCH, an empty match
	portStatus := append([]byte{2, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 64)...) // OFPPR_MODIFY
	echo := message(2, make([]byte, 1000)...)
	var out []byte
	for i := range 2000 {
		binary.BigEndian.PutUint32(portStatus[8:], uint32(1+i))
		copy(portStatus[8+24:], "vif"+strconv.Itoa(i))
		out = append(out, message(10, append(packetIn, make([]byte, 200)...)...)...)
		out = append(append(out, message(12, portStatus...)...), echo...)
	}
	return out
}

// asSwitch speaks for a bridge of a host until ctx ends, and floods the controller.
func (p *pair) asSwitch(ctx context.Context, h *lab.Host, cert tls.Certificate, datapath uint64, sent *atomic.Int64) error {
	c, err := p.reach(ctx, h, 6653, cert)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	answered := make(chan error, 1)
	go func() { answered <- openflowtest.New(openflowtest.Config{DatapathID: datapath}).Serve(ctx, c) }()
	all := torrent()
	for {
		select {
		case err := <-answered:
			return err
		default:
		}
		n, err := c.Write(all)
		sent.Add(int64(n))
		if err != nil {
			_ = c.Close()
			<-answered
			return err
		}
	}
}

// took is how long a change of a VIF's rules takes to be in the switch of its host.
func (p *pair) took(t *testing.T, h *lab.Host, vm *lab.VM, port int) time.Duration {
	t.Helper()
	begin := time.Now()
	p.do(t, "add-rule", "bridge=xenbr0", "mac="+vm.MAC().String(), "direction=to", "protocol=tcp", "port="+strconv.Itoa(port), "ipRange=10.66.0.0/24", "allow=false", "--wait", "none")
	eventually(t, func(ctx context.Context) error {
		out, err := h.Ofctl(ctx, "-O", "OpenFlow13", "dump-flows", "xenbr0")
		if err == nil && !strings.Contains(out, "tp_dst="+strconv.Itoa(port)) {
			err = fmt.Errorf("no flow for port %d", port)
		}
		return err
	})
	return time.Since(begin)
}

// changes times some changes, and returns the middle one and the slowest.
func (p *pair) changes(t *testing.T, first int) (median, slowest time.Duration) {
	t.Helper()
	var all []time.Duration
	for i := range 15 {
		all = append(all, p.took(t, p.h1, p.a, first+i))
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)-1]
}

// A host with a good certificate speaks for its bridge and floods the controller, and its database
// never rests, in which it also claims another host's VIF to and fro. Changes on other hosts are
// made in time, and their packets pass.
func TestHostileHostHarmsOnlyItself(t *testing.T) {
	t.Parallel()
	p := newPair(t, "hostilehost")
	thief := p.vm(t, p.h2, "thief", 9)
	quietMedian, quietSlowest := p.changes(t, 1000)

	ctx, cancel := context.WithCancel(within(t, 3*time.Minute))
	datapath, err := strconv.ParseUint(strings.Trim(vsctl(t, p.h2, "get", "Bridge", "xenbr0", "datapath_id"), `"`), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificateOf(t, p.h2)
	var sent, reports, sessions atomic.Int64
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			if err := p.asSwitch(ctx, p.h2, cert, datapath, &sent); err == nil || errors.Is(err, context.Canceled) {
				continue
			}
			sessions.Add(1)
		}
	})
	running.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			uuid := []string{p.a.VIF().UUID, thief.VIF().UUID}[i%2]
			if _, err := p.h2.Vsctl(ctx, "set", "Interface", thief.VIF().Port(), "external_ids:xs-vif-uuid="+uuid, "external_ids:noise="+strconv.Itoa(i)); err == nil {
				reports.Add(1)
			}
		}
	})
	eventually(t, func(context.Context) error {
		if sent.Load() < 1<<20 || reports.Load() < 10 {
			return fmt.Errorf("%d bytes and %d reports were sent", sent.Load(), reports.Load())
		}
		return nil
	})
	ping, err := p.a.StartPing(within(t, 2*time.Minute), p.b.IPv4(), lab.PingOptions{Interval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	median, slowest := p.changes(t, 2000)
	r, err := ping.Stop(within(t, time.Minute))
	cancel()
	running.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a change took %v, at most %v; beside a host that has sent %d MiB in %d sessions and %d reports %v, at most %v; %d of %d pings were lost",
		quietMedian, quietSlowest, sent.Load()>>20, sessions.Load(), reports.Load(), median, slowest, r.Lost(), r.Sent)
	// The flood shares this machine's processors with everything else: what is bound is what a
	// queue behind it would cost.
	if median > 10*quietMedian+200*time.Millisecond || slowest > 5*time.Second {
		t.Errorf("changes on another host wait for the one that floods: %v, at most %v, instead of %v", median, slowest, quietMedian)
	}
	eventually(t, p.metric(`poolwire_vif_claims_refused_total{reason="moves"}`))
	eventually(t, p.shows("hosts have claimed it from each other", "vif", "show", p.a.VIF().UUID))
	passes(t, p.a, p.b.IPv4())
}
