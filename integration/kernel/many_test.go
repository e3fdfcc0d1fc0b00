package kernel_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// many is how many encrypted networks two hosts share.
const many = 50

// stations plugs a namespace with a card into each of a host's bridges pwVNI, all with the same address and names
// of their own: what AddVM does one by one.
func stations(ctx context.Context, h *kernel.Host, vnis []int, addr string) error {
	var script strings.Builder
	words := []string{"ovs-vsctl"}
	script.WriteString("set -e\n")
	for _, vni := range vnis {
		mac := fmt.Sprintf("02:00:0a:%s:%02x:%02x", addr[len(addr)-1:]+"0", vni>>8, vni&0xff)
		fmt.Fprintf(&script, "ip netns add s%[1]d; ip link add vif%[1]d.0 mtu %[2]d type veth peer name eth0 netns s%[1]d address %[3]s mtu %[2]d; ip link set vif%[1]d.0 up\n",
			vni, encryptedMTU, mac)
		fmt.Fprintf(&script, "ip netns exec s%[1]d ip addr add %[2]s/24 dev eth0; ip netns exec s%[1]d ip link set eth0 up\n", vni, addr)
		fmt.Fprintf(&script, "ip netns exec s%d ethtool -K eth0 tx off >/dev/null\n", vni)
		words = append(words, fmt.Sprintf("-- add-port pw%[1]d vif%[1]d.0 -- set Interface vif%[1]d.0 external_ids:attached-mac=\"%[2]s\" external_ids:xs-vif-uuid=%08[1]d-0000-4000-8000-%[3]s",
			vni, strings.ReplaceAll(mac, ":", `\:`), strings.ReplaceAll(mac, ":", "")))
	}
	script.WriteString(strings.Join(words, " ") + "\n")
	_, err := h.Run(ctx, "sh", "-c", script.String())
	return err
}

// manyNetworks has 50 encrypted networks and a clear one between two hosts, all with the same addresses.
func manyNetworks(t *testing.T, d *duo) {
	before := associations(t, d.h1)
	cable := d.watch(t)
	var vnis []int
	ctx := within(t, 3*time.Minute)
	for i := range many {
		vnis = append(vnis, 1000+i)
		n := &poolwirev1.PrivateNetwork{NameLabel: fmt.Sprintf("n%d", i), Vni: uint32(1000 + i), Mtu: encryptedMTU, Encrypted: true, Members: d.everybody()}
		if _, err := d.networks.CreatePrivateNetwork(ctx, &poolwirev1.CreatePrivateNetworkRequest{PrivateNetwork: n}); err != nil {
			t.Fatal(err)
		}
	}
	d.create(t, &poolwirev1.PrivateNetwork{NameLabel: "open", Vni: 2000, Mtu: encryptedMTU})
	begun := time.Now()
	var plugging errgroup.Group
	for i, h := range []*kernel.Host{d.h1, d.h2} {
		plugging.Go(func() error { return stations(ctx, h, append(vnis, 2000), fmt.Sprintf("10.9.0.%d", i+1)) })
	}
	if err := plugging.Wait(); err != nil {
		t.Fatal(err)
	}
	d.do(t, "wait")
	t.Logf("%d networks plugged after %v", len(vnis)+1, time.Since(begun))
	// All at once.
	ping := "for n in " + strings.Trim(fmt.Sprint(append(vnis, 2000)), "[]") + "; do (ip netns exec s$n ping -n -q -c 20 -i 0.1 -w 20 10.9.0.2 >/dev/null && echo $n) & done; wait"
	out, err := d.h1.Run(ctx, "sh", "-c", ping)
	if answered := strings.Fields(out); err != nil || len(answered) != many+1 {
		t.Errorf("%d of %d networks carry traffic: %v", len(answered), many+1, err)
	}
	if after := associations(t, d.h1); after != before {
		t.Errorf("%d security associations for %d networks, %d for one", after, many+1, before)
	}
	// What one network is done with, the others go on with.
	running := flowing(t, d.h1.VMs()[0], prefix(2).Addr())
	had := strings.Join(spis(t, d.h1), " ")
	answered(t, running, 20, 20*time.Second)
	if _, err := d.h1.Run(ctx, "sh", "-c", "ovs-vsctl del-port vif1007.0; ip netns del s1007"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.h2.Run(ctx, "sh", "-c", "ovs-vsctl del-port vif1007.0; ip netns del s1007"); err != nil {
		t.Fatal(err)
	}
	d.do(t, "private-network", "delete", "n7")
	answered(t, running, 50, 20*time.Second)
	if r := lost(t, "another network deleted", running); r.Lost() > 0 {
		t.Errorf("%d pings lost", r.Lost())
	}
	if now := strings.Join(spis(t, d.h1), " "); now != had {
		t.Errorf("security associations before: %s, after: %s", had, now)
	}
	sealed(t, cable, many*20)
}

// associations counts a host's security associations that are there.
func associations(t *testing.T, h *kernel.Host) int { return len(spis(t, h)) }

// spis are the numbers of a host's security associations, without those that are being negotiated.
func spis(t *testing.T, h *kernel.Host) []string {
	t.Helper()
	all, err := h.SAs(within(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, line := range all {
		_, rest, _ := strings.Cut(line, " spi ")
		if fields := strings.Fields(rest); len(fields) > 0 && fields[0] != "0x00000000" {
			out = append(out, fields[0])
		}
	}
	return out
}

// otherEncapsulations has a GRE and a Geneve network encrypted beside.
func otherEncapsulations(t *testing.T, d *duo) {
	cable := d.watch(t)
	for vni, e := range map[int]poolwirev1.Encapsulation{301: poolwirev1.Encapsulation_ENCAPSULATION_GRE, 302: poolwirev1.Encapsulation_ENCAPSULATION_GENEVE} {
		name := strings.ToLower(strings.TrimPrefix(e.String(), "ENCAPSULATION_"))
		begun := time.Now()
		d.create(t, &poolwirev1.PrivateNetwork{NameLabel: name, Vni: uint32(vni), Mtu: encryptedMTU, Encapsulation: e, Encrypted: true})
		a, b := d.plug(t, vni)
		err := a.Ping(within(t, time.Minute), b.IPv4())
		if err != nil && d.unstick(t) {
			err = a.Ping(within(t, time.Minute), b.IPv4())
		}
		if err != nil {
			d.show(t, name)
			t.Fatal(err)
		}
		t.Logf("%s: first answer %v after the network was asked for", name, time.Since(begun))
		d.ready(t, name)
		ping := flowing(t, a, b.IPv4())
		answered(t, ping, 50, 20*time.Second)
		lost(t, name, ping)
		d.unplug(t, a, b)
		d.do(t, "private-network", "delete", name)
	}
	ping := flowing(t, d.h1.VMs()[0], prefix(2).Addr())
	answered(t, ping, 50, time.Minute)
	lost(t, "VXLAN after the others are gone", ping)
	sealed(t, cable, 100)
}

// TestWithoutIPsec encrypts a network of which one host has no package for it.
func TestWithoutIPsec(t *testing.T) {
	d := newDuo(t, "knoipsec", func(_, second *kernel.HostOptions) { second.NoIPsec = true })
	cable := d.watch(t)
	d.create(t, &poolwirev1.PrivateNetwork{NameLabel: "red", Vni: 100, Mtu: encryptedMTU, Encrypted: true})
	a, b := d.plug(t, 100)
	d.because(t, "red", "openvswitch-ipsec")
	for _, way := range [][2]*kernel.VM{{a, b}, {b, a}} {
		r, err := way[0].PingCount(within(t, time.Minute), way[1].IPv4(), lab.PingOptions{Count: 50})
		if err != nil || r.Received != 0 {
			t.Errorf("%d of %d pings answered, %v", r.Received, r.Sent, err)
		}
	}
	// Both hosts have tried, as far as they can.
	for _, h := range []*kernel.Host{d.h1, d.h2} {
		out, err := h.Vsctl(within(t, 20*time.Second), "get", "Interface", d.tunnel(t, h), "bfd_status:state")
		if err != nil || strings.Contains(out, "up") {
			t.Errorf("BFD of %s: %q, %v", h.ShortName, out, err)
		}
	}
	sealed(t, cable, 0)
}
