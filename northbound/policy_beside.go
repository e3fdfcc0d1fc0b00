package northbound

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
)

// beside says what decides about the VIF's traffic before and beside rules, one
// line each.
func (e effective) beside() []string {
	locking := effectiveLocking(e.view, e.vif)
	var out []string
	switch locking {
	case v1.LockingMode_LOCKING_MODE_DISABLED:
		out = append(out, "disabled: nothing passes in either direction")
	case v1.LockingMode_LOCKING_MODE_LOCKED:
		out = append(out, e.lockLine())
		out = append(out, e.lockExtras()...)
	}
	out = append(out, e.guards(locking)...)
	switch e.vif.GetIsolation() {
	case v1.Isolation_ISOLATION_ISOLATED:
		out = append(out, "isolated")
	case v1.Isolation_ISOLATION_COMMUNITY:
		out = append(out, "community "+quote(e.vif.GetCommunity()))
	}
	if tags := e.vif.GetTrunks(); len(tags) > 0 && trunkless(e.view, e.vif) == "" {
		out = append(out, "trunk of the VLANs "+listedNumbers(tags))
	}
	q := e.vif.GetQos()
	for _, limit := range []struct {
		direction string
		bps       uint64
	}{{"inbound", q.GetInboundBps()}, {"outbound", q.GetOutboundBps()}} {
		if limit.bps != 0 {
			out = append(out, limit.direction+" "+bitRate(limit.bps))
		}
	}
	if _, wide := e.compatRules(); len(wide) > 0 {
		out = append(out, fmt.Sprintf("what others send to the VM has met %d %s of the network %s (XCP-ng's form) where it entered the network",
			len(wide), plural("rule", len(wide)), quote(e.network.GetNameLabel())))
	}
	return out
}

// lockLine says what a locked VIF may send from.
func (e effective) lockLine() string {
	from := slices.Concat([]string{e.vif.GetMac()}, e.vif.GetIpv4Allowed(), e.vif.GetIpv6Allowed())
	if from[0] == "" {
		from[0] = "its MAC address"
	}
	text := "locked to " + listed(from)
	if len(from) == 1 {
		text += " and no IP address"
	}
	return text
}

// lockExtras says what else a locked VIF may send from.
func (e effective) lockExtras() []string {
	var out []string
	for _, p := range e.vif.GetAllowedAddressPairs() {
		mac := p.GetMac()
		if mac == "" {
			mac = "its MAC address"
		}
		out = append(out, "also "+mac+" with "+p.GetAddress())
	}
	for _, r := range e.vif.GetVirtualRouters() {
		out = append(out, fmt.Sprintf("virtual router %d: %s", r.GetVrid(), listed(r.GetAddresses())))
	}
	return out
}

// guards says what is dropped that only routers and DHCP servers send.
func (e effective) guards(locking v1.LockingMode) []string {
	ra, dhcp := e.network.GetRaGuard(), e.network.GetDhcpGuard()
	if e.private != nil {
		ra, dhcp = e.private.GetRaGuard(), e.private.GetDhcpGuard()
	}
	locked := locking == v1.LockingMode_LOCKING_MODE_LOCKED
	var out []string
	for _, g := range []struct {
		what         string
		on, excepted bool
	}{
		{"router advertisements and redirects", ra || locked, e.vif.GetAllowRouterAdvertisements()},
		{"the answers of a DHCP server", dhcp || locked, e.vif.GetAllowDhcpServer()},
	} {
		if g.on && !g.excepted {
			out = append(out, "may not send "+g.what)
		}
	}
	return out
}

// bitRate writes a rate in the unit that leaves it shortest.
func bitRate(bps uint64) string {
	for _, u := range []struct {
		unit string
		size uint64
	}{{"Tbit/s", 1e12}, {"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}} {
		if bps >= u.size {
			return strconv.FormatFloat(float64(bps)/float64(u.size), 'g', 6, 64) + " " + u.unit
		}
	}
	return fmt.Sprint(bps) + " bit/s"
}

func listedNumbers(numbers []uint32) string {
	var out []string
	for _, n := range numbers {
		out = append(out, fmt.Sprint(n))
	}
	return strings.Join(out, ",")
}

func plural(what string, n int) string {
	if n == 1 {
		return what
	}
	return what + "s"
}
