package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"poolwire/overlay"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/secrets"
	"poolwire/southbound/ovsdb"
)

// objectCompanion marks ports that only ovs-monitor-ipsec is to see: no flow names them.
const objectCompanion = "companion:"

// Keys of the companions' tunnels, beyond the 24 bits of a VNI: no network's packet is theirs.
const (
	carrierKey = 0xffffffff
	decoyKeys  = 0x80000000
)

// ignored keeps a companion's connection from being set up; its credentials are still read (ipsec.conf(5): auto).
const ignoredOption = "ipsec_auto"

// companions are the ports that a protected tunnel needs besides, while and because ovs-monitor-ipsec is as it is.
//
// A carrier has the pair's other key while the keys change. Both hosts then know both, and it does not matter
// which of them is first to use the new one. Without, the one that is finds no key in common, and Linux has it
// wait net.core.xfrm_acq_expires seconds, 165 with strongSwan, before it tries again.
//
// Decoys keep the associations of VXLAN and Geneve alive. With strongSwan the monitor takes the connection
// "NAME-in-1" for one of an interface "NAME-in", which it does not find, and cuts it whenever anything about any
// tunnel of the host changes (seen in Open vSwitch 3.1; GRE, whose connections are named "NAME-1", is spared). So
// there are interfaces of these names, of the tunnel's own kind: the connections of one of GRE would have the names of
// the tunnel's own. They never change, as what they stand for is not to be cut.
func (in rowsInput) companions(v *raftstore.View, c conduit, peer *poolwirev1.Host, tunnel ovsdb.DesiredPort) []ovsdb.DesiredPort {
	named := tunnel.Options[optionRemoteName] != ""
	if tunnel.PSK.IsZero() && !named {
		return nil
	}
	var out []ovsdb.DesiredPort
	companion := func(name string, kind overlay.Encapsulation, remote string, key uint32, psk secrets.Secret) {
		out = append(out, ovsdb.DesiredPort{
			Name: name, Type: kind.InterfaceType(), PSK: psk, ExternalIDs: map[string]string{ovsdb.KeyObject: objectCompanion + peer.GetUuid()},
			Options: map[string]string{"remote_ip": remote, "key": strconv.FormatUint(uint64(key), 10), ignoredOption: "ignore"},
		})
	}
	if other, changing := otherPSK(v, in.secrets, in.hostUUID, peer.GetUuid()); changing && !named {
		companion(fmt.Sprintf("pwk%x", peer.GetObjectId()), overlay.GRE, tunnel.Options["remote_ip"], carrierKey, other)
	}
	// The option that makes decoys harmless is there from 3.0 on.
	if c.encapsulation == overlay.GRE || predates(v.HostFacts(in.hostUUID).GetOvsVersion(), 3, 0) {
		return out
	}
	// What a decoy counts as its version must be what the tunnel counted before its keys changed: it has to change
	// with the tunnel's addresses, and with nothing else that is said here; the host's certificate counts for both.
	sum := sha256.Sum256([]byte(tunnel.Options["local_ip"] + " " + tunnel.Options["remote_ip"]))
	nobodys := secrets.New(hex.EncodeToString(sum[:]))
	if named {
		nobodys = secrets.Secret{}
	}
	for i, way := range []string{"-in", "-out"} {
		key := decoyKeys | peer.GetObjectId()<<3&^decoyKeys | uint32(c.encapsulation)<<1 | uint32(i)
		companion(tunnel.Name+way, c.encapsulation, fmt.Sprintf("127.0.0.%d", 1+i), key, nobodys)
		if named {
			out[len(out)-1].Options[optionRemoteName] = hex.EncodeToString(sum[:])
		}
	}
	return out
}
