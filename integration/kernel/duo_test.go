package kernel_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	"poolwire/integration/scenario"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// binaries builds poolwired and poolwire from the tree under test.
func binaries(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/", "./cmd/poolwired", "./cmd/poolwire")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return dir
}

// duo is a controller and two hosts with kernels of their own, in one pool.
type duo struct {
	*scenario.System
	h1, h2   *kernel.Host
	networks poolwirev1.PrivateNetworkServiceClient
	pool     string
	// had are the keys that the hosts' tunnels were seen with.
	had []string
}

// newDuo starts it.
func newDuo(t *testing.T, name string, change func(first, second *kernel.HostOptions)) *duo {
	t.Helper()
	s := start(t, scenario.Options{Name: name})
	first, second := ordinary(s, "kern1"), ordinary(s, "kern2")
	if change != nil {
		change(&first, &second)
	}
	two := hosts(t, s.Lab, first, second)
	d := &duo{System: s, h1: two[0], h2: two[1]}
	d.speak(t)
	d.pool = join(t, s, "paris", two...)
	return d
}

// start builds a lab with a controller in it.
func start(t *testing.T, o scenario.Options) *scenario.System {
	t.Helper()
	o.Bin = binaries(t)
	s, err := scenario.Start(within(t, 2*time.Minute), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the controller's log:\n%s", s.DaemonLog(40))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ordinary is a host whose kernel asks again for an association that it could not get after three seconds; on one as strongSwan
// sets it up it takes up to 165 s.
func ordinary(s *scenario.System, name string) kernel.HostOptions {
	return kernel.HostOptions{Name: name, AcquireExpires: 3, NetworkUUID: s.Lab.UUID("network", "xenbr0")}
}

// join makes a pool of hosts, and returns its UUID.
func join(t *testing.T, s *scenario.System, pool string, hosts ...*kernel.Host) string {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	if _, err := s.Poolwire(ctx, "pool", "create", pool, "--fail-mode", "standalone"); err != nil {
		t.Fatal(err)
	}
	conn, err := s.Conn()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := poolwirev1.NewPoolServiceClient(conn).GetPool(ctx, &poolwirev1.GetPoolRequest{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		if err := s.JoinKernel(ctx, pool, h); err != nil {
			t.Fatal(err)
		}
	}
	return answer.GetPool().GetUuid()
}

// speak connects to the controller that the client speaks to.
func (d *duo) speak(t *testing.T) {
	t.Helper()
	conn, err := d.Conn()
	if err != nil {
		t.Fatal(err)
	}
	d.networks = poolwirev1.NewPrivateNetworkServiceClient(conn)
}

// do runs the client and fails the test when it does not succeed.
func (d *duo) do(t *testing.T, args ...string) string {
	t.Helper()
	// Hosts with a kernel of their own are slow on a busy machine, and one that has a core for ten of them is.
	out, err := d.Poolwire(within(t, 2*time.Minute), append(slices.Clone(args), "--timeout", "110s")...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// create makes a private network of both hosts, and returns when they have confirmed it.
func (d *duo) create(t *testing.T, n *poolwirev1.PrivateNetwork) {
	t.Helper()
	ctx := within(t, time.Minute)
	n.Members = d.everybody()
	if _, err := d.networks.CreatePrivateNetwork(ctx, &poolwirev1.CreatePrivateNetworkRequest{PrivateNetwork: n}); err != nil {
		t.Fatal(err)
	}
	d.do(t, "wait")
}

// everybody is a network's member that stands for both hosts.
func (d *duo) everybody() []*poolwirev1.PrivateNetworkMember {
	return []*poolwirev1.PrivateNetworkMember{{Target: &poolwirev1.PrivateNetworkMember_PoolUuid{PoolUuid: d.pool}}}
}

// encrypt switches encryption of a network, and returns when the hosts have confirmed it and nothing that the
// datapaths have cached is from before.
func (d *duo) encrypt(t *testing.T, name string, on bool) {
	t.Helper()
	_, err := d.networks.UpdatePrivateNetwork(within(t, time.Minute), &poolwirev1.UpdatePrivateNetworkRequest{
		PrivateNetwork: &poolwirev1.PrivateNetwork{Uuid: d.network(t, name).GetUuid(), Encrypted: on},
		UpdateMask:     &fieldmaskpb.FieldMask{Paths: []string{"encrypted"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d.do(t, "wait")
	for _, h := range []*kernel.Host{d.h1, d.h2} {
		if err := h.Settle(within(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *duo) network(t *testing.T, name string) *poolwirev1.PrivateNetwork {
	t.Helper()
	r, err := d.networks.GetPrivateNetwork(within(t, 20*time.Second), &poolwirev1.GetPrivateNetworkRequest{PrivateNetwork: name})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetPrivateNetwork()
}

// encryptedMTU is what fits behind every encapsulation and ESP.
const encryptedMTU = 1350

// plug makes a VM on each host in the network with the VNI, with the addresses 10.9.0.1 and .2.
func (d *duo) plug(t *testing.T, vni int) (a, b *kernel.VM) {
	t.Helper()
	vms := make([]*kernel.VM, 2)
	for i, h := range []*kernel.Host{d.h1, d.h2} {
		vm, err := h.AddVM(within(t, time.Minute), lab.VMOptions{
			Name: fmt.Sprintf("v%d-%d", vni, i+1), Bridge: fmt.Sprintf("pw%d", vni), IPv4: prefix(byte(i + 1)), MTU: encryptedMTU,
		})
		if err != nil {
			t.Fatal(err)
		}
		vms[i] = vm
	}
	return vms[0], vms[1]
}

// watch captures what crosses the cable of the first host from now on.
func (d *duo) watch(t *testing.T) *lab.Capture {
	t.Helper()
	c, err := d.h1.Capture(within(t, 20*time.Second), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sealed ends a capture, which must hold no packet in clear and at least some of ESP.
func sealed(t *testing.T, c *lab.Capture, least int) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	secured := lab.Count(c.Packets(), kernel.ESP)
	if leaked := lab.Count(c.Packets(), kernel.Clear); leaked != 0 || secured < least {
		text, _ := c.Text(ctx)
		var lines []string
		for line := range strings.Lines(text) {
			if (strings.Contains(line, "VXLAN") || strings.Contains(line, "GRE") || strings.Contains(line, "Geneve")) && len(lines) < 30 {
				lines = append(lines, line)
			}
		}
		t.Errorf("%d in clear, %d of ESP (at least %d):\n%s", leaked, secured, least, strings.Join(lines, ""))
	}
}

// flowing sends pings without end from one VM to another.
func flowing(t *testing.T, from *kernel.VM, to netip.Addr) *lab.RunningPing {
	t.Helper()
	p, err := from.StartPing(context.WithoutCancel(t.Context()), to, lab.PingOptions{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// report ends pings and logs what became of them.
func lost(t *testing.T, what string, p *lab.RunningPing) lab.PingResult {
	t.Helper()
	r, err := p.Stop(within(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d of %d lost, longest outage %v", what, r.Lost(), r.Sent, r.Outage())
	return r
}

// answered waits until more pings are answered.
func answered(t *testing.T, p *lab.RunningPing, more int, d time.Duration) {
	t.Helper()
	if err := p.WaitReceived(within(t, d), more); err != nil {
		t.Fatal(err)
	}
}

// silent waits until pings are not answered any more.
func silent(t *testing.T, p *lab.RunningPing) {
	t.Helper()
	const long = time.Second
	ctx := within(t, 30*time.Second)
	for {
		wait, cancel := context.WithTimeout(ctx, long)
		err := p.WaitReceived(wait, 1)
		cancel()
		if ctx.Err() != nil {
			t.Fatal("pings are still answered")
		}
		if err != nil {
			return
		}
	}
}

// eventually repeats a look until it succeeds; the last miss fails the test.
func eventually(t *testing.T, look func(context.Context) error) {
	t.Helper()
	ctx := within(t, 40*time.Second)
	for {
		err := look(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ready waits until a network is in order on all its hosts.
func (d *duo) ready(t *testing.T, name string) {
	t.Helper()
	eventually(t, func(context.Context) error {
		for _, h := range d.network(t, name).GetHosts() {
			if !h.GetReady() {
				return fmt.Errorf("%s on %s: %s", name, h.GetHostNameLabel(), h.GetReason())
			}
		}
		return nil
	})
}

// because waits until a network is not in order on all hosts, and says so in these words and with the name of the
// other host.
func (d *duo) because(t *testing.T, name, words string) {
	t.Helper()
	eventually(t, func(context.Context) error {
		hosts := d.network(t, name).GetHosts()
		for i, h := range hosts {
			if h.GetReady() || !strings.Contains(h.GetReason(), words) || !strings.Contains(h.GetReason(), hosts[1-i].GetHostNameLabel()) {
				return fmt.Errorf("%s on %s is ready: %v, %q", name, h.GetHostNameLabel(), h.GetReady(), h.GetReason())
			}
		}
		return nil
	})
	t.Logf("status: %s", d.network(t, name).GetHosts()[0].GetReason())
}

// tunnel is the name of a host's only tunnel with a key.
func (d *duo) tunnel(t *testing.T, h *kernel.Host) string {
	t.Helper()
	out, err := h.Vsctl(within(t, 20*time.Second), "--bare", "--columns=name", "find", "Interface", "type=vxlan", "options:key=flow")
	if err != nil || len(strings.Fields(out)) != 1 {
		t.Fatalf("tunnels of %s: %q, %v", h.ShortName, out, err)
	}
	return strings.TrimSpace(out)
}

// guardCounts waits until the first host's guard has dropped what its tunnels send.
func (d *duo) guardCounts(t *testing.T) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		out, err := d.h1.Ofctl(ctx, "-O", "OpenFlow13", "dump-flows", "xenbr0", "udp,in_port=LOCAL,tp_dst=4789")
		if err == nil && !strings.Contains(out, "actions=drop") || strings.Contains(out, "n_packets=0,") {
			return fmt.Errorf("the guard has dropped nothing: %s", out)
		}
		return err
	})
}

// unplug removes VMs.
func (d *duo) unplug(t *testing.T, vms ...*kernel.VM) {
	t.Helper()
	for _, vm := range vms {
		if err := vm.Close(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
}

// show logs what there is of a network.
func (d *duo) show(t *testing.T, name string) {
	t.Helper()
	for _, st := range d.network(t, name).GetHosts() {
		t.Log(st)
	}
	for _, h := range []*kernel.Host{d.h1, d.h2} {
		out, _ := h.Run(context.WithoutCancel(t.Context()), "sh", "-c", "ovs-vsctl --columns=name,bfd,bfd_status,status,error find Interface type=vxlan; ip xfrm policy list nosock; ip xfrm state list nokeys")
		t.Log(out)
	}
}

// unstick restarts IPsec on hosts whose charon takes an attempt to connect for pending that it has given up: it then
// ignores every packet that asks for the association until it is restarted. Seen once in strongSwan 5.9.8, when its
// configuration was read again at that moment. It returns whether there was such a host.
func (d *duo) unstick(t *testing.T) bool {
	t.Helper()
	stuck := false
	for _, h := range []*kernel.Host{d.h1, d.h2} {
		lines := charonLog(h)
		last := lines[len(lines)-1]
		if !strings.HasSuffix(last, "connection attempt pending") {
			continue
		}
		stuck = true
		t.Logf("%s: charon is stuck, restarting it: %s", h.ShortName, last)
		ctx := within(t, time.Minute)
		if err := errors.Join(h.StopIPsec(ctx), h.StartIPsec(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	return stuck
}
