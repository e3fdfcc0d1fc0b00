package raftstore

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/secrets"
)

// maxSealed bounds a sealed key, in bytes. What is in it, only who sealed it knows.
const maxSealed = 256

// PairKeys returns the keys of all pairs of hosts.
func (v *View) PairKeys() []*storev1.PairKey { return all[*storev1.PairKey](v, TablePairKeys) }

// PairKey returns the key of two hosts, in whichever order they are given.
func (v *View) PairKey(a, b string) *storev1.PairKey {
	return get[*storev1.PairKey](v, TablePairKeys, pairKey(a, b))
}

// SealedWith counts the secrets by the id of the key that each is sealed with.
func (v *View) SealedWith() map[string]int {
	out := map[string]int{}
	for _, k := range v.PairKeys() {
		for _, sealed := range [][]byte{k.GetSealedPsk(), k.GetSealedNextPsk()} {
			if id := secrets.KeyID(sealed); id != "" {
				out[id]++
			}
		}
	}
	return out
}

// PairKeysOfHost returns the keys of all pairs that a host is one of.
func (v *View) PairKeysOfHost(hostUUID string) []*storev1.PairKey {
	return list[*storev1.PairKey](v, TablePairKeys, indexHost, indexKey(hostUUID))
}

// SharesKey reports whether a host has a key with another member of a private network.
func (v *View) SharesKey(n *poolwirev1.PrivateNetwork, hostUUID string) bool {
	if len(v.PairKeysOfHost(hostUUID)) == 0 {
		return false
	}
	return slices.ContainsFunc(v.PrivateNetworkMembers(n), func(m MemberHost) bool { return v.PairKey(hostUUID, m.Host.GetUuid()) != nil })
}

// pairKey is the key of two hosts in a table: the one whose UUID sorts first comes first.
func pairKey(a, b string) string { return hostKey(min(a, b), max(a, b)) }

// checkPair refuses what does not name two hosts, in order.
func checkPair(field, a, b string) error {
	if err := firstError(checkKey(field+".host_a", a), checkKey(field+".host_b", b)); err != nil {
		return err
	}
	if a >= b {
		return &InvalidError{Field: field + ".host_b", Value: b, Reason: "must sort after host_a, which is " + a}
	}
	return nil
}

// putPairKeys stores and forgets keys of pairs. What was decided on an older state is passed
// over: pairs of hosts that are gone, and generations that are not the stored one any more.
// With the key goes the proof that the pair's tunnels are protected.
func (t *tx) putPairKeys(c *storev1.PutPairKeys) (Result, error) {
	for i, k := range c.GetPut() {
		if err := checkPairKey(fmt.Sprintf("put[%d]", i), k); err != nil {
			return Result{}, err
		}
	}
	for i, k := range c.GetForget() {
		if err := checkPair(fmt.Sprintf("forget[%d]", i), k.GetHostA(), k.GetHostB()); err != nil {
			return Result{}, err
		}
	}
	for _, k := range c.GetForget() {
		if have := t.PairKey(k.GetHostA(), k.GetHostB()); have != nil && have.GetGeneration() == k.GetGeneration() {
			t.del(TablePairKeys, pairKey(k.GetHostA(), k.GetHostB()))
			t.dropProtectionsOfPair(have)
		}
	}
	for _, k := range c.GetPut() {
		if t.Host(k.GetHostA()) == nil || t.Host(k.GetHostB()) == nil || t.PairKey(k.GetHostA(), k.GetHostB()).GetGeneration() > k.GetGeneration() {
			continue
		}
		k = proto.CloneOf(k)
		if k.GetCreateTime() == nil {
			k.CreateTime = t.time
		}
		t.put(TablePairKeys, k)
	}
	return Result{Pairs: c.GetPairs()}, nil
}

// checkPairKey refuses a key that cannot be. Errors tell the size of a sealed key only.
func checkPairKey(field string, k *storev1.PairKey) error {
	if err := checkPair(field, k.GetHostA(), k.GetHostB()); err != nil {
		return err
	}
	for _, sealed := range []struct {
		name  string
		bytes []byte
	}{{"sealed_psk", k.GetSealedPsk()}, {"sealed_next_psk", k.GetSealedNextPsk()}} {
		if n := len(sealed.bytes); n > maxSealed {
			return &InvalidError{Field: field + "." + sealed.name, Value: fmt.Sprintf("%d bytes", n), Reason: fmt.Sprintf("must be at most %d", maxSealed)}
		}
	}
	if n := utf8.RuneCountInString(k.GetRotatedBy()); n > maxRequestID {
		return &InvalidError{Field: field + ".rotated_by", Value: fmt.Sprintf("%d characters", n), Reason: fmt.Sprintf("must be at most %d", maxRequestID)}
	}
	if k.GetGeneration() == 0 {
		return &InvalidError{Field: field + ".generation", Value: "0", Reason: "must be 1 at least"}
	}
	return nil
}
