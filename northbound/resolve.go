package northbound

import (
	"slices"

	"google.golang.org/grpc/codes"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// unresolved says that a name in a request leads to nothing.
func unresolved(field, value, reason string) error {
	return &referenceError{code: codes.NotFound, field: field, text: quote(value) + ": " + reason}
}

// ambiguous says that a name in a request leads to several objects, which, and
// how to choose.
func ambiguous(field, value, hint string, candidates []string) error {
	slices.Sort(candidates)
	return &referenceError{code: codes.InvalidArgument, field: field,
		text: quote(value) + " is ambiguous: " + listed(candidates) + "; " + hint}
}

// missing says that a required name is empty.
func missing(field, accepted string) error {
	return &referenceError{code: codes.InvalidArgument, field: field, text: "is required: " + accepted}
}

// findPool finds the pool that the field "pool" of a request names, by UUID or
// name_label.
func findPool(v *raftstore.View, ref string) (*v1.Pool, error) { return findPoolAt(v, "pool", ref) }

// findPoolAt is findPool for another field.
func findPoolAt(v *raftstore.View, field, ref string) (*v1.Pool, error) {
	if ref == "" {
		return nil, missing(field, "the UUID or name_label of a pool")
	}
	if id, ok := canonicalUUID(ref); ok {
		if p := v.Pool(id); p != nil {
			return p, nil
		}
	}
	if p := v.PoolByName(ref); p != nil {
		return p, nil
	}
	return nil, unresolved(field, ref, "there is no pool with this UUID or name_label; known: "+listed(labels(v.Pools())))
}

// findHost finds a host by UUID or name_label.
func findHost(v *raftstore.View, field, ref string) (*v1.Host, error) {
	if ref == "" {
		return nil, missing(field, "the UUID or name_label of a host")
	}
	if id, ok := canonicalUUID(ref); ok {
		if h := v.Host(id); h != nil {
			return h, nil
		}
	}
	if h := v.HostByName(ref); h != nil {
		return h, nil
	}
	return nil, unresolved(field, ref, "there is no host with this UUID or name_label; known: "+listed(labels(v.Hosts())))
}

// findPrivateNetwork finds a private network by UUID or name_label.
func findPrivateNetwork(v *raftstore.View, ref string) (*v1.PrivateNetwork, error) {
	if ref == "" {
		return nil, missing("private_network", "the UUID or name_label of a private network")
	}
	if n := lookPrivateNetwork(v, ref); n != nil {
		return n, nil
	}
	return nil, unresolved("private_network", ref, "there is no private network with this UUID or name_label; known: "+listed(labels(v.PrivateNetworks())))
}

func lookPrivateNetwork(v *raftstore.View, ref string) *v1.PrivateNetwork {
	if id, ok := canonicalUUID(ref); ok {
		if n := v.PrivateNetwork(id); n != nil {
			return n
		}
	}
	return v.PrivateNetworkByName(ref)
}

// labels lists names in order.
func labels[T interface{ GetNameLabel() string }](of []T) []string {
	out := make([]string, len(of))
	for i, o := range of {
		out[i] = o.GetNameLabel()
	}
	slices.Sort(out)
	return out
}

// findBridge finds the host and the real bridge whose flows are asked for. The
// host may be empty when only one has the bridge.
func findBridge(v *raftstore.View, hostRef, name string) (*v1.Host, *storev1.Bridge, error) {
	if name == "" {
		return nil, nil, missing("bridge", "the name of a bridge")
	}
	if hostRef == "" {
		return findBridgeAnywhere(v, name)
	}
	h, err := findHost(v, "host", hostRef)
	if err != nil {
		return nil, nil, err
	}
	b := v.Bridge(h.GetUuid(), name)
	if b == nil {
		var known []string
		for _, b := range v.Bridges(h.GetUuid()) {
			known = append(known, b.GetName())
		}
		return nil, nil, unresolved("bridge", name, "host "+quote(h.GetNameLabel())+" has no such bridge; known: "+listed(known))
	}
	return h, parentOf(v, b), nil
}

func findBridgeAnywhere(v *raftstore.View, name string) (*v1.Host, *storev1.Bridge, error) {
	found := v.BridgesByName(name)
	switch len(found) {
	case 0:
		return nil, nil, unresolved("bridge", name, "no host has this bridge; known: "+listed(bridgeNamesOf(v, v.Hosts())))
	case 1:
		return v.Host(found[0].GetHostUuid()), parentOf(v, found[0]), nil
	}
	var hosts []string
	for _, b := range found {
		hosts = append(hosts, v.Host(b.GetHostUuid()).GetNameLabel())
	}
	slices.Sort(hosts)
	return nil, nil, ambiguous("bridge", name, "name the host (host="+hosts[0]+")", hosts)
}

// parentOf is the real bridge under a fake one.
func parentOf(v *raftstore.View, b *storev1.Bridge) *storev1.Bridge {
	if b.GetParent() != "" {
		if under := v.Bridge(b.GetHostUuid(), b.GetParent()); under != nil {
			return under
		}
	}
	return b
}

// bridgeNamesOf lists the names of the bridges of hosts, each once, in order.
func bridgeNamesOf(v *raftstore.View, hosts []*v1.Host) []string {
	var out []string
	for _, h := range hosts {
		for _, b := range v.Bridges(h.GetUuid()) {
			if !b.GetOverlay() {
				out = append(out, b.GetName())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
