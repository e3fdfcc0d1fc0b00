package raftstore

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Protections returns what is proved of tunnels between all hosts.
func (v *View) Protections() []*storev1.Protection {
	return all[*storev1.Protection](v, TableProtections)
}

// Protection returns what is proved of the tunnels of two hosts, in whichever order they are
// given, with an encapsulation as Interface.type names it; nil while nothing is.
func (v *View) Protection(a, b, encapsulation string) *storev1.Protection {
	return get[*storev1.Protection](v, TableProtections, protectionKey(min(a, b), max(a, b), encapsulation))
}

// ProtectionsOfHost returns what is proved of the tunnels of a host.
func (v *View) ProtectionsOfHost(hostUUID string) []*storev1.Protection {
	return list[*storev1.Protection](v, TableProtections, indexHost, indexKey(hostUUID))
}

func protectionKey(a, b, encapsulation string) string { return hostKey(hostKey(a, b), encapsulation) }

// observeProtection records proofs and forgets others; what is in both lists is proved. A proof
// for hosts that have no key of a pair is of nothing, and passed over.
func (t *tx) observeProtection(c *storev1.ObserveProtection) (Result, error) {
	for i, p := range c.GetProved() {
		if err := checkProtection(fmt.Sprintf("proved[%d]", i), p); err != nil {
			return Result{}, err
		}
	}
	for i, p := range c.GetLost() {
		if err := checkProtection(fmt.Sprintf("lost[%d]", i), p); err != nil {
			return Result{}, err
		}
	}
	for _, p := range c.GetLost() {
		t.del(TableProtections, protectionKey(p.GetHostA(), p.GetHostB(), p.GetEncapsulation()))
	}
	for _, p := range c.GetProved() {
		if t.PairKey(p.GetHostA(), p.GetHostB()) == nil {
			continue
		}
		p = proto.CloneOf(p)
		if p.GetProveTime() == nil {
			p.ProveTime = t.time
		}
		t.put(TableProtections, p)
	}
	return Result{}, nil
}

func checkProtection(field string, p *storev1.Protection) error {
	if err := checkPair(field, p.GetHostA(), p.GetHostB()); err != nil {
		return err
	}
	switch p.GetEncapsulation() {
	case "vxlan", "gre", "geneve":
		return nil
	}
	return &InvalidError{Field: field + ".encapsulation", Value: clip(p.GetEncapsulation()), Reason: `must be "vxlan", "gre" or "geneve"`}
}

// dropProtections forgets all proofs for a host's tunnels.
func (t *tx) dropProtections(hostUUID string) {
	for _, p := range t.ProtectionsOfHost(hostUUID) {
		t.del(TableProtections, protectionKey(p.GetHostA(), p.GetHostB(), p.GetEncapsulation()))
	}
}

// dropProtectionsOfPair forgets the proofs for the tunnels between two hosts.
func (t *tx) dropProtectionsOfPair(k *storev1.PairKey) {
	for _, p := range t.ProtectionsOfHost(k.GetHostA()) {
		if p.GetHostA() == k.GetHostA() && p.GetHostB() == k.GetHostB() {
			t.del(TableProtections, protectionKey(p.GetHostA(), p.GetHostB(), p.GetEncapsulation()))
		}
	}
}

// unguards says whether a host's change of intent takes away what its proofs rest on: guard
// flows name addresses, and stand on one managed host.
func unguards(before, after *poolwirev1.Host) bool {
	return before.GetAddress() != after.GetAddress() || before.GetTransportAddress() != after.GetTransportAddress() ||
		before.GetManaged() != after.GetManaged() || guardDefault(before.GetTransportGuard()) != guardDefault(after.GetTransportGuard())
}
