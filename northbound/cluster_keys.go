package northbound

import (
	"maps"
	"slices"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// secretKeys are the keys that seal secrets, by their ids. Only the leader has heard which nodes have them; elsewhere
// they are missing on all other nodes.
func (s *clusterService) secretKeys(v *raftstore.View) ([]*v1.SecretKey, error) {
	nodes, _, err := s.cfg.Store.Health()
	if err != nil {
		return nil, err
	}
	sealed := v.SealedWith()
	known := map[string]bool{}
	for id := range sealed {
		known[id] = true
	}
	for _, n := range nodes {
		for _, id := range n.GetSecretKeys() {
			known[id] = true
		}
	}
	var out []*v1.SecretKey
	for _, id := range slices.Sorted(maps.Keys(known)) {
		k := &v1.SecretKey{Id: id, Sealed: uint32(sealed[id])}
		for _, n := range nodes {
			if !slices.Contains(n.GetSecretKeys(), id) {
				k.MissingOn = append(k.MissingOn, n.GetNode().GetId())
			}
		}
		out = append(out, k)
	}
	return out, nil
}
