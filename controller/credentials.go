package controller

import (
	"fmt"
	"slices"
	"strings"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// optionRemoteName is by what ovs-monitor-ipsec knows a peer that has a certificate: the certificate's common name.
const optionRemoteName = "remote_name"

// certified tells whether a host proves who it is by a certificate, and not by keys.
func certified(h *poolwirev1.Host) bool {
	return h.GetIpsec().GetCredential() == poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_CERTIFICATE
}

// mixed tells whether one of two hosts has a certificate and the other has keys. They cannot protect anything: a host's
// certificate is for all its tunnels, and with it ovs-monitor-ipsec takes no key for any.
func mixed(a, b *poolwirev1.Host) bool { return certified(a) != certified(b) }

// protect gives a tunnel credentials when the pair has a key, and reports whether it is to be silent: nothing must be
// sent by it before the guard stands and both ends can negotiate. One that speaks already with its credentials goes on;
// the guard drops what is not protected. One that gets its first credentials, or other addresses, begins anew: the packets of
// BFD would have IKE negotiate before the peer can.
func (in rowsInput) protect(v *raftstore.View, p *ovsdb.DesiredPort, c conduit, peer *poolwirev1.Host) (silent bool) {
	if _, guarded := in.peers[peer.GetUuid()]; !guarded || c.port != 0 {
		return false
	}
	live := in.live[p.Name] && in.leads[p.Name] == addressesOf(*p)
	if v.PairKey(in.hostUUID, peer.GetUuid()) == nil {
		return !live // the key is being made
	}
	live = live && !in.bare[p.Name]
	switch own := v.Host(in.hostUUID); {
	case mixed(own, peer):
		// Neither end could take what the other has. The guard lets nothing pass.
	case certified(own):
		p.Options[optionRemoteName] = peer.GetUuid()
	default:
		// Without a key there is no protection, and the guard lets nothing pass.
		p.PSK, _ = psk(v, in.secrets, in.hostUUID, peer.GetUuid())
	}
	return !live && (in.guarded == nil || !in.guarded(peer.GetUuid(), c))
}

// credentialProblem says what keeps two hosts from proving to each other who they are.
func credentialProblem(v *raftstore.View, a, b *poolwirev1.Host) string {
	if mixed(a, b) {
		if certified(b) {
			a, b = b, a
		}
		return fmt.Sprintf("%s uses certificates, %s keys: let both use the same (poolwire host set HOST --ipsec-credential)", a.GetNameLabel(), b.GetNameLabel())
	}
	for _, h := range []*poolwirev1.Host{a, b} {
		if reason := settingsProblem(v, h); reason != "" {
			return reason
		}
	}
	return ""
}

// settingsProblem says where a host's own settings for ovs-monitor-ipsec are not as its credential needs them.
func settingsProblem(v *raftstore.View, h *poolwirev1.Host) string {
	facts := v.HostFacts(h.GetUuid())
	if facts == nil {
		return "" // never seen
	}
	set := facts.GetIpsecKeys()
	if !certified(h) {
		if len(set) == 0 {
			return ""
		}
		return fmt.Sprintf("%s has other_config:%s, with which its ovs-monitor-ipsec takes no keys: remove it, or let the host use certificates", h.GetNameLabel(), set[0])
	}
	missing := slices.DeleteFunc(ovsdb.IPsecKeys(), func(key string) bool { return slices.Contains(set, key) })
	if len(missing) == 0 {
		return ""
	}
	return fmt.Sprintf("%s is to use a certificate, but its Open_vSwitch other_config lacks %s: poolwire pki export-host --ipsec %[1]s says how to set it up",
		h.GetNameLabel(), strings.Join(missing, ", "))
}

// unprovable says what keeps a host from taking part in an encrypted network by its credentials, or those of the first
// peer that it cannot use them with.
func unprovable(v *raftstore.View, pn *poolwirev1.PrivateNetwork, h *poolwirev1.Host) string {
	if !pn.GetEncrypted() {
		return ""
	}
	if reason := settingsProblem(v, h); reason != "" {
		return reason
	}
	for _, peer := range membershipIn(v, pn, h.GetUuid()).peers() {
		if reason := credentialProblem(v, h, peer.Host); reason != "" {
			return fmt.Sprintf("nothing passes to or from %s: %s", peer.Host.GetNameLabel(), reason)
		}
	}
	return ""
}
