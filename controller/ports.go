package controller

import (
	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/southbound/openflow"
)

// maxPortName is how much of a port's name a switch tells (OFP_MAX_PORT_NAME_LEN
// less the terminating zero). Kernel devices fit; patches and tunnels may not.
const maxPortName = 15

// ovsdbLocal is Interface.ofport of a bridge's own port, which OpenFlow 1.3
// numbers openflow.PortLocal.
const ovsdbLocal = 0xfffe

// portNumbers are a switch's own port numbers: fresher than Interface.ofport
// after a restart of ovs-vswitchd, and never wrong.
type portNumbers struct {
	byName map[string]uint32
	names  map[uint32]string
}

func numbersOf(ports []openflow.Port) portNumbers {
	n := portNumbers{byName: make(map[string]uint32, len(ports)), names: make(map[uint32]string, len(ports))}
	for _, p := range ports {
		if _, taken := n.names[p.Number]; !taken { // no honest switch gives a number twice
			n.byName[p.Name], n.names[p.Number] = p.Number, p.Name
		}
	}
	return n
}

// of is the number of an interface, 0 when the switch has no such port. Names
// that the switch may have cut short are told apart by the number in OVSDB.
func (n portNumbers) of(row *storev1.Port) uint32 {
	name := row.GetName()
	if len(name) < maxPortName {
		return n.byName[name]
	}
	if number := reportedNumber(row); number != 0 && n.names[number] == name[:maxPortName] {
		return number
	}
	if len(name) == maxPortName {
		return n.byName[name]
	}
	return 0
}

// reportedNumber is Interface.ofport as OpenFlow 1.3 numbers ports.
func reportedNumber(row *storev1.Port) uint32 {
	if row.GetOfport() == ovsdbLocal {
		return openflow.PortLocal
	}
	return row.GetOfport()
}

// outdated reports an interface to which OVSDB gives another number than the
// switch did when it was asked last: the switch sets the column after it has
// the port, so asking again finds it.
func (n portNumbers) outdated(row *storev1.Port) bool {
	number := reportedNumber(row)
	return number != 0 && number != n.of(row)
}

// moved names the ports that have another number than before, or are new or gone.
func (n portNumbers) moved(before portNumbers) map[string]struct{} {
	out := setOf()
	for number, name := range n.names {
		if before.names[number] != name {
			out[name] = struct{}{}
		}
	}
	for number, name := range before.names {
		if n.names[number] != name {
			out[name] = struct{}{}
		}
	}
	return out
}

// withLongNames adds the interfaces whose names the switch cut short to one of
// the names given.
func withLongNames(names map[string]struct{}, rows []*storev1.Port) map[string]struct{} {
	for _, row := range rows {
		if len(row.GetName()) <= maxPortName {
			continue
		}
		if _, named := names[row.GetName()[:maxPortName]]; named {
			names[row.GetName()] = struct{}{}
		}
	}
	return names
}
