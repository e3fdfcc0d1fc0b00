package lab

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"
)

// underlay is the fabric segment that carries the hosts' and controllers'
// addresses. Others are made when a bridge names them.
const underlay = "underlay"

// healTimeout bounds the wait for a link that was set up to have its carrier.
const healTimeout = 10 * time.Second

// Node is a namespace with an address on the fabric: a place for a controller.
type Node struct {
	*Namespace
	// ShortName is the node's name within the lab.
	ShortName string
	// Addr is its address on the fabric.
	Addr netip.Addr

	port string // its link's end in the fabric namespace
}

// AddNode adds a node, for example for another controller of a cluster.
func (l *Lab) AddNode(ctx context.Context, name string) (*Node, error) {
	ns, err := l.newNamespace(ctx, "n-"+name)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.nextNode++
	n := &Node{Namespace: ns, ShortName: name, Addr: netip.AddrFrom4([4]byte{100, 64, 0, byte(l.nextNode)})}
	l.mu.Unlock()
	if n.port, err = l.cable(ctx, ns, "eth0", underlay); err != nil {
		return nil, err
	}
	if err := l.ipBatch(ctx, ns, fmt.Sprintf("addr add %s/16 dev eth0", n.Addr), "link set eth0 up"); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes[name] = n
	return n, nil
}

// hostAddr is the underlay address of the n-th host, counted from 1.
func hostAddr(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{100, 64, byte(1 + n/256), byte(n % 256)})
}

// ensureSegment makes a segment of the fabric, which is a Linux bridge of that
// name, unless it exists. Snooping is off: every multicast is flooded at once.
func (l *Lab) ensureSegment(ctx context.Context, name string) error {
	l.wiring.Lock()
	defer l.wiring.Unlock()
	if _, exists := l.segments[name]; exists {
		return nil
	}
	err := l.ipBatch(ctx, l.fabric,
		fmt.Sprintf("link add %s type bridge stp_state 0 forward_delay 0 mcast_snooping 0", name),
		fmt.Sprintf("link set %s mtu %d up", name, l.mtu))
	if err == nil {
		l.segments[name] = struct{}{}
	}
	return err
}

// cable connects a new link called link in ns to a segment and returns the name
// of the fabric's end. Transmit checksums are computed in software at both ends:
// the userspace datapath passes frames on as they are, and would deliver one
// whose checksum was left to the hardware with a wrong one.
func (l *Lab) cable(ctx context.Context, ns *Namespace, link, segment string) (string, error) {
	if err := l.ensureSegment(ctx, segment); err != nil {
		return "", err
	}
	l.mu.Lock()
	l.nextPort++
	port := fmt.Sprintf("port%d", l.nextPort)
	l.mu.Unlock()
	err := l.ipBatch(ctx, nil, fmt.Sprintf("link add %s netns %s mtu %d type veth peer name %s netns %s mtu %d",
		link, ns.Name, l.mtu, port, l.fabric.Name, l.mtu))
	if err != nil {
		return "", err
	}
	if _, err := ns.Run(ctx, "ethtool", "-K", link, "tx", "off"); err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	return port, l.ipBatch(ctx, l.fabric, fmt.Sprintf("link set %s master %s up", port, segment))
}

// PartitionHost takes down the links between a host and the fabric: the host
// sees its NICs lose carrier.
func (l *Lab) PartitionHost(ctx context.Context, h *Host) error {
	return l.setPorts(ctx, h.nicPorts(), "down")
}

// PartitionNode takes down the link between a node and the fabric.
func (l *Lab) PartitionNode(ctx context.Context, n *Node) error {
	return l.setPorts(ctx, []string{n.port}, "down")
}

// HealHost undoes PartitionHost and BlackholeHost.
func (l *Lab) HealHost(ctx context.Context, h *Host) error { return l.healPorts(ctx, h.nicPorts()) }

// HealNode undoes PartitionNode.
func (l *Lab) HealNode(ctx context.Context, n *Node) error {
	return l.healPorts(ctx, []string{n.port})
}

// BlackholeHost makes the fabric drop everything from and to a host, in silence:
// its NICs keep their carrier, and connections die only by their own timers.
func (l *Lab) BlackholeHost(ctx context.Context, h *Host) error {
	for _, port := range h.nicPorts() {
		if err := l.setPortState(ctx, port, "disabled"); err != nil {
			return err
		}
	}
	return nil
}

// NarrowHost makes the fabric drop everything larger than mtu from and to a host, in silence, as a path does whose routers'
// messages are filtered away. The host's NICs know nothing of it,
// but TCP between it and the controller does, whose connections would stall else.
func (l *Lab) NarrowHost(ctx context.Context, h *Host, mtu int) error {
	for _, way := range []struct {
		ns *Namespace
		to netip.Addr
	}{{l.controller.Namespace, h.Addr}, {h.Namespace, l.controller.Addr}} {
		route := fmt.Sprintf("ip route replace %[1]s $(ip -o route get %[1]s | sed -n 's/.*\\(dev [^ ]*\\).*/\\1/p') mtu lock %[2]d", way.to, mtu)
		if _, err := way.ns.Run(ctx, "sh", "-c", route); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	return l.setPorts(ctx, h.nicPorts(), fmt.Sprintf("mtu %d", mtu))
}

func (l *Lab) setPorts(ctx context.Context, ports []string, state string) error {
	var lines []string
	for _, port := range ports {
		lines = append(lines, fmt.Sprintf("link set %s %s", port, state))
	}
	return l.ipBatch(ctx, l.fabric, lines...)
}

func (l *Lab) healPorts(ctx context.Context, ports []string) error {
	if err := l.setPorts(ctx, ports, "up"); err != nil {
		return err
	}
	// The bridge takes a state only once the kernel's link watch has seen the
	// carrier, a moment after the link was set up.
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	for _, port := range ports {
		var refused error
		err := poll(ctx, func() (bool, error) {
			refused = l.setPortState(ctx, port, "forwarding")
			return refused == nil, nil
		})
		if err != nil {
			return errors.Join(err, refused)
		}
	}
	return nil
}

// setPortState sets a bridge port's spanning tree state by hand (bridge(8)),
// which the kernel obeys while no spanning tree runs.
func (l *Lab) setPortState(ctx context.Context, port, state string) error {
	_, err := l.fabric.Run(ctx, "bridge", "link", "set", "dev", port, "state", state)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

// Capture records what crosses the underlay, filtered by a pcap-filter(7)
// expression; empty means everything.
func (l *Lab) Capture(ctx context.Context, filter string) (*Capture, error) {
	return l.fabric.Capture(ctx, CaptureOptions{Interface: underlay, Filter: filter})
}

// Hosts returns the lab's hosts in the order they were added.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	hosts := make([]*Host, 0, len(l.hosts))
	for _, h := range l.hosts {
		hosts = append(hosts, h)
	}
	slices.SortFunc(hosts, func(a, b *Host) int { return a.Addr.Compare(b.Addr) })
	return hosts
}

// generatedMAC derives a locally administered unicast address from a name.
func (l *Lab) generatedMAC(kind, name string) [6]byte {
	h := fnv.New64a()
	_, _ = h.Write([]byte(l.name + "/" + kind + "/" + name))
	s := h.Sum64()
	return [6]byte{0x02, byte(s >> 32), byte(s >> 24), byte(s >> 16), byte(s >> 8), byte(s)}
}
