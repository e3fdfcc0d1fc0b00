package northbound

import (
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// maxAllowedHosts bounds Vif.allowed_hosts, stated in the proto comments.
const maxAllowedHosts = 256

// moveNews is for how long a move of a VIF is told of in its warnings.
const moveNews = time.Hour

// maxPlaceWarnings bounds how many refused ports are told of.
const maxPlaceWarnings = 16

// checkAllowedHosts checks the hosts that a VIF is bound to, as far as that can be done without
// knowing them.
func checkAllowedHosts(vif *v1.Vif, at place) {
	if n := len(vif.GetAllowedHosts()); n > maxAllowedHosts {
		at.say("has %d entries; at most %d are accepted (a pool stands for all of its hosts)", n, maxAllowedHosts)
		return
	}
	for i, ref := range vif.GetAllowedHosts() {
		if ref == "" {
			at.index(i).say("is required: the UUID or name_label of a host or a pool")
		}
	}
}

// resolveAllowedHosts turns names of hosts and pools into UUIDs, each once. What is stored
// already stays, also when it is gone.
func resolveAllowedHosts(v *raftstore.View, vif *v1.Vif, at place) {
	stored := v.Vif(vif.GetUuid()).GetAllowedHosts()
	var out []string
	for i, ref := range vif.GetAllowedHosts() {
		uuid := ref
		if canonical, ok := canonicalUUID(ref); ok {
			uuid = canonical
		}
		if !slices.Contains(stored, uuid) {
			uuid = hostOrPool(v, ref)
		}
		switch {
		case uuid == "":
			at.index(i).refuse(ref, "names no host or pool, or both; hosts: %s; pools: %s", listed(labels(v.Hosts())), listed(labels(v.Pools())))
		case !slices.Contains(out, uuid):
			out = append(out, uuid)
		}
	}
	vif.AllowedHosts = out
}

// hostOrPool is the UUID of the host or pool that a text names, empty when it names neither, or
// one of each.
func hostOrPool(v *raftstore.View, ref string) string {
	host, _ := findHost(v, "", ref)
	pool, _ := findPool(v, ref)
	if (host == nil) == (pool == nil) {
		return ""
	}
	if host != nil {
		return host.GetUuid()
	}
	return pool.GetUuid()
}

// placeWarnings says what is odd about where a VIF is: more than one host has it, one claims it
// that may not have it, or it has moved lately by what hosts say.
func placeWarnings(v *raftstore.View, vif *v1.Vif) []string {
	var out []string
	if hosts := hostsOfVif(v, vif.GetUuid()); len(hosts) > 1 {
		names := make([]string, len(hosts))
		for i, h := range hosts {
			names[i] = hostName(v, h)
		}
		slices.Sort(names)
		out = append(out, fmt.Sprintf("is on hosts %s at once: so it looks while a VM migrates, and when a host claims a VIF of another one's (allowed_hosts says who may)",
			strings.Join(names, " and ")))
	}
	said := map[string]bool{}
	for _, p := range v.PortsByClaim(vif.GetUuid()) {
		text := fmt.Sprintf("host %s claims it with port %s and is refused: %s", hostName(v, p.GetHostUuid()), p.GetName(), v.RefusalReason(p))
		if !said[text] && len(said) < maxPlaceWarnings {
			said[text] = true
			out = append(out, text)
		}
	}
	return append(out, moveWarnings(v, vif)...)
}

// moveWarnings tells of the moves that are news: a VM that migrates does so once.
func moveWarnings(v *raftstore.View, vif *v1.Vif) []string {
	var last *v1.VifMove
	n := raftstore.VifMovesWithin(vif, time.Now().Add(-moveNews))
	for _, m := range vif.GetMoves() {
		last = m
	}
	if n < 2 {
		return nil
	}
	return []string{fmt.Sprintf("hosts have claimed it from each other %d times in the last hour, last host %s from host %s at %s",
		n, hostName(v, last.GetHostUuid()), hostName(v, last.GetFromHostUuid()), last.GetTime().AsTime().UTC().Format(time.RFC3339))}
}

// hostName is what people call a host, also one that is gone.
func hostName(v *raftstore.View, uuid string) string {
	if h := v.Host(uuid); h.GetNameLabel() != "" {
		return h.GetNameLabel()
	}
	return uuid
}
