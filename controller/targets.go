package controller

import (
	"fmt"
	"net"
	"slices"
	"strconv"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// ownNode is this node as bridges reach it: the ports it listens on itself.
type ownNode struct {
	id              string
	openflow, flags int
}

// targets are the Controller.target values of the nodes, two for each: one for
// OpenFlow, and at the next port one for port flags. A node without an advertised
// address is reached at fallback, the address this host knows us by.
func (o ownNode) targets(nodes []*poolwirev1.Node, fallback string) []string {
	var out []string
	for _, n := range nodes {
		addr := n.GetOpenflowAddress()
		if addr == "" && n.GetId() == o.id {
			addr = fallback
		}
		if addr == "" {
			continue
		}
		out = append(out, fmt.Sprintf("ssl:%s", addr))
		if flags := o.flagsAddress(addr, n.GetId() == o.id); flags != "" {
			out = append(out, fmt.Sprintf("ssl:%s", flags))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// flagsAddress is where bridges open sessions for port flags, given where they open
// the others; empty when there is no such address. A node that is reached at the very
// port it listens on has its own word on the other one.
func (o ownNode) flagsAddress(addr string, self bool) string {
	host, port, err := net.SplitHostPort(addr)
	number, errPort := strconv.ParseUint(port, 10, 16)
	if err != nil || errPort != nil || number == 65535 {
		return ""
	}
	next := int(number) + 1
	if self && int(number) == o.openflow {
		next = o.flags
	}
	return net.JoinHostPort(host, strconv.Itoa(next))
}
