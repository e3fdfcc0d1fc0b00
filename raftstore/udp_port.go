package raftstore

import (
	"fmt"
	"strconv"
	"strings"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// UDP ports with a meaning on the underlay.
const (
	portVXLAN  = 4789  // RFC 7348
	portGeneve = 6081  // RFC 8926
	portIKE    = 500   // RFC 7296
	portIKENAT = 4500  // RFC 3948
	maxPort    = 65535 // of UDP
)

// inClear says why another port cannot be together with encryption.
const inClear = "IPsec protects the protocol's own port only, and packets to another would travel in clear"

// ownPort is the UDP port that a protocol has been assigned; 0 for one without ports.
func ownPort(e poolwirev1.Encapsulation) uint32 {
	switch e {
	case poolwirev1.Encapsulation_ENCAPSULATION_VXLAN:
		return portVXLAN
	case poolwirev1.Encapsulation_ENCAPSULATION_GENEVE:
		return portGeneve
	}
	return 0
}

// settleUDPPort keeps or checks the UDP port; the protocol's own is stored as 0.
func (t *tx) settleUDPPort(n, old *poolwirev1.PrivateNetwork) error {
	given := n.GetUdpPort()
	if given == ownPort(n.GetEncapsulation()) {
		n.UdpPort = 0
	}
	if old != nil {
		if given != 0 && n.GetUdpPort() != old.GetUdpPort() {
			is := old.GetUdpPort()
			if is == 0 {
				is = ownPort(old.GetEncapsulation())
			}
			return checkUnchanged("udp_port", portText(is), portText(given))
		}
		n.UdpPort = old.GetUdpPort()
		return nil
	}
	return t.checkUDPPort(n)
}

// checkUDPPort refuses a port that the network's hosts could not use for its protocol.
func (t *tx) checkUDPPort(n *poolwirev1.PrivateNetwork) error {
	port := n.GetUdpPort()
	refused := func(reason string) error {
		return &InvalidError{Field: "udp_port", Value: portText(port), Reason: reason}
	}
	switch e := n.GetEncapsulation(); {
	case port == 0:
		return nil
	case ownPort(e) == 0:
		return refused("cannot be with " + encapsulationName(e) + ", which has no ports; VXLAN and GENEVE have")
	case port > maxPort:
		return refused("must be 1 to 65535, or 0 for the protocol's own")
	case port == portVXLAN, port == portGeneve:
		return refused("is the port of another protocol; VXLAN has 4789, GENEVE 6081")
	case port == portIKE, port == portIKENAT:
		return refused("is a port of IKE, which hosts listen at when networks are encrypted")
	}
	for _, other := range t.PrivateNetworks() {
		if sharesPort(n, other) {
			return refused(fmt.Sprintf("is the port of %s in private network %q; one port takes one protocol", encapsulationName(other.GetEncapsulation()), other.GetNameLabel()))
		}
	}
	return nil
}

// sharesPort says whether two networks want one port for two protocols.
func sharesPort(a, b *poolwirev1.PrivateNetwork) bool {
	return a.GetUdpPort() != 0 && a.GetUdpPort() == b.GetUdpPort() && a.GetEncapsulation() != b.GetEncapsulation()
}

// checkPortHeld refuses a port that undoing a pending change needs for another protocol.
func (t *tx) checkPortHeld(n *poolwirev1.PrivateNetwork) (err error) {
	if n.GetUdpPort() == 0 {
		return nil
	}
	t.images(TablePrivateNetworks, func(p *storev1.PendingChange, o *storev1.ChangedObject) bool {
		if other, _ := imageOf(o).(*poolwirev1.PrivateNetwork); sharesPort(n, other) {
			err = heldBy(p, "needs, to be undone, a UDP port that would be taken by", describe(TablePrivateNetworks, n.GetUuid(), n.GetNameLabel()))
		}
		return err == nil
	})
	return err
}

// checkEncrypted refuses encryption where packets would pass it by. The error names the field
// that was asked for: the port at creation, encrypted when it is switched on later.
func checkEncrypted(n, old *poolwirev1.PrivateNetwork) error {
	switch port := n.GetUdpPort(); {
	case !n.GetEncrypted() || port == 0:
		return nil
	case old == nil:
		return &InvalidError{Field: "udp_port", Value: portText(port), Reason: "cannot be together with encrypted: " + inClear}
	default:
		return &InvalidError{Field: "encrypted", Value: "true", Reason: "cannot be together with udp_port, which is " + portText(port) + ": " + inClear}
	}
}

// portText is a UDP port for errors.
func portText(port uint32) string { return strconv.FormatUint(uint64(port), 10) }

func encapsulationName(e poolwirev1.Encapsulation) string {
	return strings.TrimPrefix(e.String(), "ENCAPSULATION_")
}
