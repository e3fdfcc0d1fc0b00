package overlay

import "fmt"

// Encapsulation is a tunnel protocol.
type Encapsulation uint8

// The encapsulations.
const (
	// VXLAN is RFC 7348.
	VXLAN Encapsulation = iota
	// GRE is RFC 2784 with the key of RFC 2890.
	GRE
	// Geneve is RFC 8926 without options.
	Geneve
)

// InterfaceType is the encapsulation's Interface.type in OVSDB.
func (e Encapsulation) InterfaceType() string {
	switch e {
	case VXLAN:
		return "vxlan"
	case GRE:
		return "gre"
	case Geneve:
		return "geneve"
	}
	return fmt.Sprintf("Encapsulation(%d)", uint8(e))
}

// String is InterfaceType.
func (e Encapsulation) String() string { return e.InterfaceType() }

// Letter names the encapsulation in the names of interfaces, which have 15 characters.
func (e Encapsulation) Letter() string {
	switch e {
	case GRE:
		return "g"
	case Geneve:
		return "n"
	}
	return "v"
}

// ParseInterfaceType is the inverse of InterfaceType.
func ParseInterfaceType(s string) (Encapsulation, bool) {
	for _, e := range []Encapsulation{VXLAN, GRE, Geneve} {
		if s == e.InterfaceType() {
			return e, true
		}
	}
	return 0, false
}

// DefaultPort is the UDP port that IANA has assigned to the protocol; 0 for GRE, which has none.
func (e Encapsulation) DefaultPort() uint16 {
	switch e {
	case VXLAN:
		return 4789
	case Geneve:
		return 6081
	}
	return 0
}

// Port is the UDP port in use when custom was asked for; 0 asks for the protocol's own.
func (e Encapsulation) Port(custom uint16) uint16 {
	if custom != 0 && e != GRE {
		return custom
	}
	return e.DefaultPort()
}
