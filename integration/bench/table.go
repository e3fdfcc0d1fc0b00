package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"poolwire/flowcompiler"
	"poolwire/integration/lab"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// rulesPerVIF makes the whole-table input: a locked VIF with this many rules is
// about rulesPerVIF plus 30 flows.
const rulesPerVIF = 70

// bridgeInput is a bridge of locked VIFs with rules, of n flows or a few more.
func bridgeInput(n int) (flowcompiler.Input, error) {
	in := flowcompiler.Input{
		Bridge:   flowcompiler.Bridge{NoMeters: true, Kind: flowcompiler.NetworkBridge, LocalMAC: flow.MAC{2, 0, 0, 0, 0, 1}},
		Networks: []flowcompiler.Network{{ID: 1}},
	}
	var flows [3]int // with none, one and two VIFs
	for i := range flows {
		c, err := flowcompiler.Compile(in)
		if err != nil {
			return in, err
		}
		flows[i] = c.Len()
		in.VIFs = append(in.VIFs, benchVIF(i))
	}
	for each := flows[2] - flows[1]; flows[0]+len(in.VIFs)*each < n; {
		in.VIFs = append(in.VIFs, benchVIF(len(in.VIFs)))
	}
	return in, nil
}

func benchVIF(i int) flowcompiler.VIF {
	v := flowcompiler.VIF{
		ID: uint32(10 + i), Network: 1, Ports: []uint32{uint32(1 + i)}, Locking: flowcompiler.Locked,
		MAC:  flow.MAC{2, 1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)},
		IPv4: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)},
	}
	for r := range rulesPerVIF {
		v.Rules = append(v.Rules, flowcompiler.Rule{
			ID: uint32(1_000_000 + i*rulesPerVIF + r), Direction: flowcompiler.To, Protocol: flowcompiler.TCP, HasPort: true, Port: uint16(1000 + r),
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, byte(r), 0}), 24), Priority: uint16(100 + r),
		})
	}
	return v
}

// flows measures whole tables of a host in a lab.
func flows(ctx context.Context, s settings) ([]row, error) {
	l, err := lab.New(ctx, lab.Options{Name: "bench"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	return wholeTable(ctx, l, s)
}

// wholeTable measures a whole table: from empty, and with nothing to change.
func wholeTable(ctx context.Context, l *lab.Lab, s settings) ([]row, error) {
	host, err := l.AddDummyHost(ctx, lab.DummyOptions{Name: "table"})
	if err != nil {
		return nil, err
	}
	in, err := bridgeInput(s.flows)
	if err != nil {
		return nil, err
	}
	b := &tableBench{host: host, in: in, file: filepath.Join(l.Dir(), "flows.txt")}
	if err := b.writeFile(); err != nil {
		return nil, err
	}
	var push, resync, addFlows, replaceFlows []time.Duration
	for range s.rounds {
		if err := b.round(ctx, &push, &resync, &addFlows, &replaceFlows); err != nil {
			return nil, err
		}
	}
	return []row{
		{fmt.Sprintf("%d flows, compile to barrier", b.count), median(push), median(addFlows), "ovs-ofctl --bundle add-flows", "<= 1.2", fmt.Sprintf("compile %s of it", rounded(b.compile))},
		{fmt.Sprintf("%d flows, nothing to change", b.count), median(resync), median(replaceFlows), "ovs-ofctl replace-flows", "< 0.5", "dump and diff, nothing sent"},
	}, host.Close(ctx)
}

// tableBench is one switch and what it is filled with.
type tableBench struct {
	host    *lab.DummyHost
	in      flowcompiler.Input
	file    string
	count   int
	compile time.Duration
}

// writeFile writes the flows as ovs-ofctl reads them.
func (b *tableBench) writeFile() error {
	c, err := flowcompiler.Compile(b.in)
	if err != nil {
		return err
	}
	b.count = c.Len()
	var text strings.Builder
	for f := range c.Flows() {
		text.WriteString(strings.TrimSpace(f.String()) + "\n")
	}
	return os.WriteFile(b.file, []byte(text.String()), 0o600)
}

func (b *tableBench) clear(ctx context.Context) error {
	_, err := b.host.Ofctl(ctx, "-O", "OpenFlow14", "del-flows", b.host.Bridge)
	return err
}

// round measures each of the four once, alternating, from the same state.
func (b *tableBench) round(ctx context.Context, push, resync, addFlows, replaceFlows *[]time.Duration) error {
	if err := b.clear(ctx); err != nil {
		return err
	}
	d, err := timed(func() error { return b.ofctl(ctx, "--bundle", "add-flows") })
	if err != nil {
		return err
	}
	*addFlows = append(*addFlows, d)
	if d, err = timed(func() error { return b.ofctl(ctx, "replace-flows") }); err != nil {
		return err
	}
	*replaceFlows = append(*replaceFlows, d)
	if err := b.clear(ctx); err != nil {
		return err
	}
	sw, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer sw.Close(nil)
	if d, err = b.fill(ctx, sw); err != nil {
		return err
	}
	*push = append(*push, d)
	d, err = b.look(ctx, sw)
	*resync = append(*resync, d)
	return err
}

func (b *tableBench) ofctl(ctx context.Context, words ...string) error {
	_, err := b.host.Ofctl(ctx, append(append([]string{"-O", "OpenFlow14"}, words...), b.host.Bridge, b.file)...)
	return err
}

// connect speaks OpenFlow to the bridge over its management socket, as ovs-ofctl does.
func (b *tableBench) connect(ctx context.Context) (*openflow.Switch, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(b.host.Dir, b.host.Bridge+".mgmt"))
	if err != nil {
		return nil, err
	}
	return openflow.Handshake(ctx, conn, openflow.ConnConfig{})
}

// fill compiles from scratch and pushes to the barrier's reply.
func (b *tableBench) fill(ctx context.Context, sw *openflow.Switch) (time.Duration, error) {
	return timed(func() error {
		begin := time.Now()
		c, err := flowcompiler.Compile(b.in)
		if err != nil {
			return err
		}
		b.compile = time.Since(begin)
		r, err := newSync().Full(ctx, sw, c.Flows())
		if err == nil && r.Added != b.count {
			err = fmt.Errorf("pushed %d flows, wanted %d", r.Added, b.count)
		}
		return err
	})
}

// look is what happens after a reconnect: dump, diff, and nothing to send.
func (b *tableBench) look(ctx context.Context, sw *openflow.Switch) (time.Duration, error) {
	c, err := flowcompiler.Compile(b.in)
	if err != nil {
		return 0, err
	}
	return timed(func() error {
		r, err := newSync().Full(ctx, sw, c.Flows())
		if err == nil && (r.Installed != b.count || r.Added+r.Modified+r.Deleted != 0) {
			err = fmt.Errorf("a look at %d flows found %d and changed %d", b.count, r.Installed, r.Added+r.Modified+r.Deleted)
		}
		return err
	})
}

func newSync() *openflow.Sync {
	return openflow.NewSync(openflow.SyncConfig{Own: flowcompiler.Own, Ephemeral: flowcompiler.Ephemeral})
}

func timed(f func() error) (time.Duration, error) {
	begin := time.Now()
	err := f()
	return time.Since(begin), err
}
