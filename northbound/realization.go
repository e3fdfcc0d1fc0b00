package northbound

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// realizer works out how far objects have become fact. It joins what the state
// says (which hosts carry an object) with what the controller knows (what each
// host has confirmed). One is made per call: it remembers the hosts' answers.
type realizer struct {
	view *raftstore.View
	live Live
	seen map[realizedAt]*v1.HostRealization
	// groups are the hosts of the VIFs of groups.
	groups map[string][]string
	// obstacles are those of the VIFs of scopes, by host UUID.
	obstacles map[policyScope]map[string]string
	odd       *odd
}

type realizedAt struct {
	host     string
	revision uint64
}

// newRealizer works on the whole state: what is not for the caller's eyes is taken out of the answer.
func newRealizer(v *raftstore.View, live Live) *realizer {
	v = v.Whole()
	return &realizer{view: v, live: live, seen: map[realizedAt]*v1.HostRealization{}, groups: map[string][]string{}, obstacles: map[policyScope]map[string]string{}, odd: newOdd(v)}
}

// host is how far one host has got with a revision.
func (r *realizer) host(uuid string, revision uint64) *v1.HostRealization {
	at := realizedAt{uuid, revision}
	if h := r.seen[at]; h != nil {
		return h
	}
	h := r.view.Host(uuid)
	out := &v1.HostRealization{
		HostUuid: uuid, State: v1.RealizationState_REALIZATION_STATE_PENDING,
		Error: "the host is released: nothing is enforced on it",
	}
	if h.GetManaged() {
		out = proto.CloneOf(r.live.HostRealization(uuid, revision))
		if out == nil {
			out = &v1.HostRealization{HostUuid: uuid}
		}
	}
	out.HostNameLabel = h.GetNameLabel()
	r.seen[at] = out
	return out
}

// over is the state of a revision on the hosts that carry an object. nobody
// says why there is none.
func (r *realizer) over(hosts []string, revision uint64, nobody string) *v1.Realization {
	out := &v1.Realization{State: v1.RealizationState_REALIZATION_STATE_PENDING, Message: nobody}
	if len(hosts) == 0 {
		return out
	}
	for _, h := range hosts {
		out.Hosts = append(out.Hosts, r.host(h, revision))
	}
	slices.SortFunc(out.Hosts, func(a, b *v1.HostRealization) int {
		return strings.Compare(sortKey(a.GetHostNameLabel(), a.GetHostUuid()), sortKey(b.GetHostNameLabel(), b.GetHostUuid()))
	})
	out.State, out.Message = r.overall(out.Hosts)
	return out
}

// overall sums hosts up: a refusal outweighs work in progress, that outweighs
// absence, and only what all confirmed is confirmed. Hosts that are released
// carry nothing and count only when there are no others; they are named.
func (r *realizer) overall(hosts []*v1.HostRealization) (v1.RealizationState, string) {
	names := map[v1.RealizationState][]string{}
	var released []string
	for _, h := range hosts {
		if !r.view.Host(h.GetHostUuid()).GetManaged() {
			released = append(released, h.GetHostNameLabel())
			continue
		}
		names[h.GetState()] = append(names[h.GetState()], h.GetHostNameLabel())
	}
	note := ""
	switch len(released) {
	case 0:
	case 1:
		note = "host " + released[0] + " is released"
	default:
		note = "hosts " + listed(released) + " are released"
	}
	if len(released) == len(hosts) {
		return v1.RealizationState_REALIZATION_STATE_PENDING, note
	}
	state, message := sumOf(names)
	return state, joinSentences(message, note)
}

// fail says of hosts that have confirmed all they can that it is not in force there, and
// why, by host UUID. The hosts' answers are shared: they are copied.
func (r *realizer) fail(out *v1.Realization, obstacles map[string]string) {
	if len(obstacles) == 0 {
		return
	}
	for i, h := range out.GetHosts() {
		if why := obstacles[h.GetHostUuid()]; why != "" && h.GetState() == v1.RealizationState_REALIZATION_STATE_CONFIRMED {
			h = proto.CloneOf(h)
			h.State, h.Error = v1.RealizationState_REALIZATION_STATE_FAILED, why
			out.Hosts[i] = h
		}
	}
	out.State, out.Message = r.overall(out.Hosts)
}

// sumOf is the state of what hosts carry together, by their names.
func sumOf(names map[v1.RealizationState][]string) (v1.RealizationState, string) {
	switch {
	case len(names[v1.RealizationState_REALIZATION_STATE_FAILED]) > 0:
		return v1.RealizationState_REALIZATION_STATE_FAILED, "refused by " + listed(names[v1.RealizationState_REALIZATION_STATE_FAILED])
	case len(names[v1.RealizationState_REALIZATION_STATE_IN_PROGRESS]) > 0:
		return v1.RealizationState_REALIZATION_STATE_IN_PROGRESS, "waiting for " + listed(names[v1.RealizationState_REALIZATION_STATE_IN_PROGRESS])
	case len(names[v1.RealizationState_REALIZATION_STATE_UNSPECIFIED]) > 0:
		return v1.RealizationState_REALIZATION_STATE_UNSPECIFIED, ""
	case len(names[v1.RealizationState_REALIZATION_STATE_PENDING]) > 0:
		return v1.RealizationState_REALIZATION_STATE_PARTIAL, "away: " + listed(names[v1.RealizationState_REALIZATION_STATE_PENDING])
	}
	return v1.RealizationState_REALIZATION_STATE_CONFIRMED, ""
}

// vif is the realization of the intent for a VIF.
func (r *realizer) vif(vif *v1.Vif) *v1.Realization {
	revision := max(revisionOf(vif), r.networkRevision(vif.GetNetworkUuid()))
	out := r.over(hostsOfVif(r.view, vif.GetUuid()), revision, "the VIF is not plugged into any host now")
	r.fail(out, r.live.VifObstacles(vif.GetUuid()))
	if note := r.standaloneNote(vif); note != "" {
		out.Message = joinSentences(out.GetMessage(), note)
	}
	return out
}

// networkRevision is when the default for the VIFs of a network last changed.
func (r *realizer) networkRevision(networkUUID string) uint64 {
	n := r.view.Network(networkUUID)
	return max(revisionOf(n), revisionOf(r.view.PrivateNetwork(n.GetPrivateNetworkUuid())))
}

// standaloneNote says where a lock ends when all controllers are away.
func (r *realizer) standaloneNote(vif *v1.Vif) string {
	if effectiveLocking(r.view, vif) == v1.LockingMode_LOCKING_MODE_UNLOCKED {
		return ""
	}
	for _, h := range hostsOfVif(r.view, vif.GetUuid()) {
		pool := r.view.Pool(r.view.Host(h).GetPoolUuid())
		if r.view.Host(h).GetManaged() && pool.GetFailMode() != v1.FailMode_FAIL_MODE_SECURE {
			return fmt.Sprintf("the bridge is standalone: the lock ends %s after the last controller is gone", graceOf(pool))
		}
	}
	return ""
}

func graceOf(p *v1.Pool) time.Duration {
	if d := p.GetControllerGrace().AsDuration(); d > 0 {
		return d
	}
	return defaultGrace
}

func joinSentences(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// rule is the realization of a rule.
func (r *realizer) rule(rule *v1.Rule) *v1.Realization {
	hosts, nobody := r.ruleHosts(rule)
	return r.over(hosts, revisionOf(rule), nobody)
}

// ruleHosts are the hosts that carry a rule.
func (r *realizer) ruleHosts(rule *v1.Rule) (hosts []string, nobody string) {
	switch {
	case rule.GetVifUuid() != "":
		return hostsOfVif(r.view, rule.GetVifUuid()), "the VIF " + rule.GetVifUuid() + " is not plugged into any host now"
	case rule.GetMac() != "":
		for _, vif := range vifsAt(r.view, rule.GetNetworkUuid(), rule.GetMac()) {
			for _, h := range hostsOfVif(r.view, vif.GetUuid()) {
				if !slices.Contains(hosts, h) {
					hosts = append(hosts, h)
				}
			}
		}
		return hosts, fmt.Sprintf("no VIF with the MAC address %s is plugged into the network %s now", rule.GetMac(), networkLabel(r.view, rule.GetNetworkUuid()))
	}
	nobody = "no host has the network " + networkLabel(r.view, rule.GetNetworkUuid()) + " now"
	if pn := r.view.PrivateNetwork(rule.GetNetworkUuid()); pn != nil {
		return hostsOfPrivate(r.view, pn), nobody
	}
	return slices.Clone(r.view.Network(rule.GetNetworkUuid()).GetHostUuids()), nobody
}

// privateNetwork is the realization of a private network.
func (r *realizer) privateNetwork(pn *v1.PrivateNetwork) *v1.Realization {
	out := r.over(hostsOfPrivate(r.view, pn), revisionOf(pn), "the network has no member host")
	for _, h := range pn.GetHosts() {
		// That a host is released is said of it already.
		if !h.GetReady() && h.GetReason() != "" && r.view.Host(h.GetHostUuid()).GetManaged() {
			out.Message = joinSentences(out.GetMessage(), h.GetHostNameLabel()+": "+h.GetReason())
		}
	}
	return out
}

func hostsOfPrivate(v *raftstore.View, pn *v1.PrivateNetwork) []string {
	var hosts []string
	for _, m := range v.PrivateNetworkMembers(pn) {
		hosts = append(hosts, m.Host.GetUuid())
	}
	return hosts
}

// hostsOfVif lists the hosts a VIF is plugged into: two while it migrates.
func hostsOfVif(v *raftstore.View, vifUUID string) []string {
	var hosts []string
	for _, p := range v.PortsByVif(vifUUID) {
		if !slices.Contains(hosts, p.GetHostUuid()) {
			hosts = append(hosts, p.GetHostUuid())
		}
	}
	return hosts
}

// vifsAt lists the VIFs with a MAC address on a network or private network.
func vifsAt(v *raftstore.View, networkUUID, mac string) []*v1.Vif {
	var out []*v1.Vif
	for _, vif := range v.VifsByMAC(mac) {
		n := v.Network(vif.GetNetworkUuid())
		if n.GetUuid() == networkUUID || n.GetPrivateNetworkUuid() == networkUUID {
			out = append(out, vif)
		}
	}
	return out
}

// networkLabel is a network's name for a person.
func networkLabel(v *raftstore.View, uuid string) string {
	if n := v.Network(uuid); n != nil {
		return quote(n.GetNameLabel())
	}
	if n := v.PrivateNetwork(uuid); n != nil {
		return quote(n.GetNameLabel())
	}
	return uuid
}

// revisionOf is the revision of an object's last change.
func revisionOf(o interface{ GetEtag() string }) uint64 { return revisionIn(o.GetEtag()) }

// revisionIn reads a revision in decimal; 0 when it is none.
func revisionIn(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
