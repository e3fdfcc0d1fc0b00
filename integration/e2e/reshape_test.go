package e2e

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A network changes its topology while its VMs talk: nobody hears anything twice meanwhile, everybody hears everything
// once afterwards, and tunnels that the new topology has too stay as they are.
func TestTopologyChangesLive(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, "reshape", poolwirev1.Topology_TOPOLOGY_MESH, poolwirev1.Encapsulation_ENCAPSULATION_VXLAN)
	r.pathsUp(t)
	r.everyoneHears(t, r.names()...)
	centre := r.uuid(t, "paris1")
	mesh := tunnelRows(t, r.hosts["paris1"])

	placed := func(places int) func([]*poolwirev1.PrivateNetworkRelay) bool {
		return func(all []*poolwirev1.PrivateNetworkRelay) bool {
			for _, p := range all {
				if p.GetActiveHostUuid() == "" || p.GetStandbyHostUuid() == "" {
					return false
				}
			}
			return len(all) == places
		}
	}
	for _, step := range []struct {
		topology poolwirev1.Topology
		places   int
	}{
		{poolwirev1.Topology_TOPOLOGY_STAR, 1},
		{poolwirev1.Topology_TOPOLOGY_HUB, 2},
		{poolwirev1.Topology_TOPOLOGY_MESH, 0},
	} {
		counted := r.countWhile(t, "lyon1", "paris2", func() {
			pn, fields := &poolwirev1.PrivateNetwork{Topology: step.topology}, []string{"topology"}
			if step.topology == poolwirev1.Topology_TOPOLOGY_STAR {
				pn.PreferredCenter, fields = centre, append(fields, "preferred_center")
			}
			r.update(t, pn, fields...)
			r.relays(t, placed(step.places))
			r.settled(t)
		})
		t.Logf("to %s: of %d broadcasts %d came twice and %d not at all", step.topology, counted.sent, counted.twice, counted.missing)
		if counted.twice > 0 {
			t.Errorf("to %s: of %d broadcasts %d came twice", step.topology, counted.sent, counted.twice)
		}
		r.pathsUp(t)
		r.everyoneHears(t, r.names()...)
		if step.topology == poolwirev1.Topology_TOPOLOGY_STAR {
			if now := tunnelRows(t, r.hosts["paris1"]); now != mesh {
				t.Errorf("the centre's tunnels were made anew: they were\n%s\nand are\n%s", mesh, now)
			}
		}
	}
}

// tunnelRows are the tunnels of a host by name and row.
func tunnelRows(t *testing.T, h *lab.Host) string {
	t.Helper()
	return vsctl(t, h, "--no-heading", "--format=csv", "--columns=name,_uuid,options,bfd", "find", "Interface", "type=vxlan")
}

// wireVLAN is the VLAN of the transport network in TestTransportOverBondAndVLAN.
const wireVLAN = 30

// Tunnels leave by the internal port of a VLAN of a bond, and come in by a VLAN of a NIC: on the wire they have the
// VLAN's tag. They outlive a NIC of the bond.
func TestTransportOverBondAndVLAN(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "wires")}
	p.do(t, "pool", "create", "paris")
	ctx := within(t, 2*time.Minute)
	var vms []*lab.VM
	p.do(t, "private-network", "create", "blue", "--vni", "7", "--pool", "paris")
	for i, bridge := range []lab.BridgeOptions{
		{Name: "xenbr0", Bond: true, BondMode: "active-backup"},
		{Name: "xenbr0", Uplink: true},
	} {
		name := []string{"paris1", "paris2"}[i]
		bridge.VLANs = map[string]uint16{"xapi1": wireVLAN}
		h, err := p.Join(ctx, "paris", false, lab.HostOptions{Name: name, Bridges: []lab.BridgeOptions{bridge}})
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.AddrFrom4([4]byte{100, 90, 0, byte(1 + i)})
		for _, args := range [][]string{{"ip", "addr", "add", addr.String() + "/24", "dev", "xapi1"}, {"ip", "link", "set", "xapi1", "up"}} {
			if out, err := h.Run(ctx, args...); err != nil {
				t.Fatal(out, err)
			}
		}
		p.do(t, "host", "set", name, "--transport-address", addr.String())
		vm, err := h.AddVM(ctx, vmOptions([]string{"x", "y"}[i], "pw7", 11+i))
		if err != nil {
			t.Fatal(err)
		}
		vms = append(vms, vm)
		if i == 0 {
			p.h1 = h
		}
	}
	wire, err := p.Lab.Capture(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	passes(t, vms[0], vms[1].IPv4())
	err = wire.StopAfter(ctx, func(q lab.Packet) bool {
		_, is := vxlanOn(q.Bytes)
		return is
	})
	if err != nil {
		t.Fatal("a ping that has arrived on the underlay: ", err)
	}
	tagged, untagged := 0, 0
	for _, packet := range wire.Packets() {
		switch vlan, is := vxlanOn(packet.Bytes); {
		case is && vlan == wireVLAN:
			tagged++
		case is:
			untagged++
		}
	}
	if tagged == 0 || untagged > 0 {
		t.Errorf("the wire has seen %d VXLAN packets in VLAN %d and %d elsewhere", tagged, wireVLAN, untagged)
	}

	active := strings.Fields(vsctl(t, p.h1, "get", "Port", "bond0", "bond_active_slave"))
	t.Logf("the bond's active NIC has the address %v", active)
	for _, nic := range []string{"eth0", "eth1"} {
		for _, state := range []string{"down", "up"} {
			if out, err := p.h1.Run(ctx, "ip", "link", "set", nic, state); err != nil {
				t.Fatal(out, err)
			}
			passes(t, vms[0], vms[1].IPv4())
			passes(t, vms[1], vms[0].IPv4())
		}
	}
}

// vxlanOn tells whether an Ethernet frame holds VXLAN over IPv4, and in which VLAN, 0 for none.
func vxlanOn(f []byte) (vlan int, is bool) {
	const tagType, headers = 0x8100, 14 + 20 + 8
	if len(f) > headers && binary.BigEndian.Uint16(f[12:]) == tagType {
		vlan = int(binary.BigEndian.Uint16(f[14:]) & 0xfff)
		f = f[4:]
	}
	return vlan, len(f) >= headers && binary.BigEndian.Uint16(f[12:]) == 0x0800 && f[23] == 17 && binary.BigEndian.Uint16(f[36:]) == 4789
}
