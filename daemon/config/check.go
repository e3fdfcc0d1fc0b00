package config

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
)

// check finds what no single setting can tell.
func (c Config) check() error {
	var errs []error
	conflict := func(field, value, problem string) {
		errs = append(errs, &FieldError{Source: "configuration", Field: field, Value: value, Accepted: problem})
	}
	listeners := []struct{ name, address string }{
		{"listen.api", c.Listen.API}, {"listen.openflow", c.Listen.OpenFlow}, {"listen.portflags", c.Listen.PortFlagsAddress()},
		{"listen.ovsdb", c.Listen.OVSDB}, {"listen.raft", c.Listen.Raft}, {"listen.metrics", c.Listen.Metrics},
	}
	for i, l := range listeners {
		for _, other := range listeners[:i] {
			if overlap(l.address, other.address) {
				conflict(l.name, l.address, "want an address of its own: "+other.name+" has "+other.address)
			}
		}
	}
	if c.InsecureLoopback && c.Listen.Metrics != "" && !isLoopback(c.Listen.Metrics) {
		conflict("listen.metrics", c.Listen.Metrics, "want a loopback address, as in 127.0.0.1:9654, or no insecure_loopback: without TLS it is served to this machine only")
	}
	if c.DataDir == c.PKIDir {
		conflict("pki_dir", c.PKIDir, "want a directory of its own: data_dir is the same")
	}
	if c.Listen.API == "" && c.API.Socket == "" {
		conflict("api.socket", "", "want a path, or an address in listen.api: nobody could reach the API")
	}
	return errors.Join(errs...)
}

// PortFlagsAddress is where port flags are set: PortFlags, or where that is empty
// OpenFlow with the next port. After the highest port there is none: empty. The port
// after 0 is any free one too.
func (l Listen) PortFlagsAddress() string {
	if l.PortFlags != "" {
		return l.PortFlags
	}
	host, port, err := net.SplitHostPort(l.OpenFlow)
	number, errPort := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || errPort != nil || number == 65535:
		return ""
	case number == 0:
		return l.OpenFlow
	}
	return net.JoinHostPort(host, strconv.FormatUint(number+1, 10))
}

// overlap says whether two listeners would want the same port of the same address.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || unspecified(hostA) || unspecified(hostB)
}

// isLoopback tells whether nobody from another machine can connect. A name is none: what it stands for
// may change.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// Derive returns the addresses to advertise, given where the daemon listens (with
// the ports it really got) and the machine's own addresses. What was set stays. The
// rest is the listening address; where that is all addresses, it is the machine's
// first address that others can reach, IPv4 before IPv6. For OpenFlow it is then the
// address that API or Raft was given, so that whichever node leads can tell it to
// bridges; without one it stays empty, and this node, while it leads, tells each host
// the address by which that reaches it.
func (a Advertise) Derive(l Listen, machine []netip.Addr) Advertise {
	if a.OpenFlow == "" {
		a.OpenFlow = derive(l.OpenFlow, chosen(l.OpenFlow, a.API, l.API, a.Raft, l.Raft))
	}
	if a.API == "" {
		a.API = derive(l.API, firstReachable(machine))
	}
	if a.Raft == "" {
		a.Raft = derive(l.Raft, firstReachable(machine))
	}
	return a
}

// chosen returns the first IP address among others that reaches a listener from other
// machines: no loopback, and IPv4 where the listener takes all addresses of IPv4 only.
// Names are left out: a switch may not resolve them.
func chosen(listen string, others ...string) string {
	all, _, _ := net.SplitHostPort(listen)
	wildcard, err := netip.ParseAddr(all)
	onlyV4 := err == nil && wildcard.Is4()
	for _, o := range others {
		host, _, _ := net.SplitHostPort(o)
		ip, err := netip.ParseAddr(host)
		if err == nil && ip.Unmap().IsGlobalUnicast() && (ip.Unmap().Is4() || !onlyV4) {
			return host
		}
	}
	return ""
}

// derive replaces the host of a listening address that names none; without a
// replacement there is no address.
func derive(listen, replacement string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if unspecified(host) {
		if replacement == "" {
			return ""
		}
		host = replacement
	}
	return net.JoinHostPort(host, port)
}

// firstReachable returns the loopback where there is nothing better.
func firstReachable(machine []netip.Addr) string {
	for _, v4 := range []bool{true, false} {
		for _, ip := range machine {
			if ip = ip.Unmap(); ip.Is4() == v4 && ip.IsGlobalUnicast() {
				return ip.WithZone("").String()
			}
		}
	}
	return "127.0.0.1"
}
