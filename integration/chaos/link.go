package chaos

import (
	"context"
	"fmt"
	"strings"

	"poolwire/integration/lab"
)

// The faults of links are made inside the namespaces of nodes, by nft(8) and tc(8): a cut is
// silent, as a broken path is, and both ends keep their carrier. Packets are held up outside, by
// the lab. Clients come by sockets and are not cut off.

// way is a direction, seen from a node.
type way string

const (
	inward  way = "input"
	outward way = "output"
)

// cut drops what a node gets or sends, from or to certain peers.
func (n *node) cut(ctx context.Context, w way, peers []*node) error {
	match, dev := "saddr", "iifname"
	if w == outward {
		match, dev = "daddr", "oifname"
	}
	var addrs []string
	for _, p := range peers {
		addrs = append(addrs, p.at.Addr.String())
	}
	return n.filter(ctx, w, fmt.Sprintf(`%s "eth0" ip %s { %s } drop`, dev, match, strings.Join(addrs, ", ")))
}

// lose drops a share of the packets that a node gets.
func (n *node) lose(ctx context.Context, percent int) error {
	return n.filter(ctx, inward, fmt.Sprintf(`iifname "eth0" numgen random mod 100 < %d drop`, percent))
}

func (n *node) filter(ctx context.Context, w way, rule string) error {
	_, err := n.at.Run(ctx, "nft", fmt.Sprintf("add table inet chaos; add chain inet chaos %[1]s { type filter hook %[1]s priority 0 ; }; add rule inet chaos %[1]s %[2]s", w, rule))
	return err
}

// narrow lets a node send so many kbit/s. What comes faster waits up to 200 ms and is dropped
// then.
func (n *node) narrow(ctx context.Context, kbit int) error {
	_, err := n.at.Run(ctx, "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", fmt.Sprintf("%dkbit", kbit), "burst", "4kb", "latency", "200ms")
	return err
}

// hold makes the packets to a node late.
func (n *node) hold(ctx context.Context, late lab.Lateness) (err error) {
	n.inTime, err = n.lab.LateNode(ctx, n.at, late)
	return err
}

// punctual undoes hold.
func (n *node) punctual() error {
	if n.inTime == nil {
		return nil
	}
	end := n.inTime
	n.inTime = nil
	return end()
}

// hangUp breaks all connections of a node; it may make new ones at once.
func (n *node) hangUp(ctx context.Context) error {
	_, err := n.at.Run(ctx, "ss", "--kill", "--tcp", "state", "connected")
	return err
}

// reconnect undoes cut, lose, narrow and hold.
func (n *node) reconnect(ctx context.Context) error {
	if err := n.punctual(); err != nil {
		return err
	}
	if _, err := n.at.Run(ctx, "nft", "add table inet chaos; delete table inet chaos"); err != nil {
		return err
	}
	out, err := n.at.Run(ctx, "tc", "qdisc", "show", "dev", "eth0", "root")
	if err == nil && strings.Contains(out, "tbf") {
		_, err = n.at.Run(ctx, "tc", "qdisc", "del", "dev", "eth0", "root")
	}
	return err
}
