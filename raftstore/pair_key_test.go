package raftstore

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func key(a, b string, generation uint32) *storev1.PairKey {
	return &storev1.PairKey{HostA: a, HostB: b, SealedPsk: []byte("sealed " + a + b), Generation: generation}
}

func putKeys(c *storev1.PutPairKeys) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: c}}
}

func putKey(keys ...*storev1.PairKey) *storev1.Command {
	return putKeys(&storev1.PutPairKeys{Put: keys})
}

func forgetKey(keys ...*storev1.PairKey) *storev1.Command {
	return putKeys(&storev1.PutPairKeys{Forget: keys})
}

func protection(a, b, encapsulation string) *storev1.Protection {
	return &storev1.Protection{HostA: a, HostB: b, Encapsulation: encapsulation}
}

func observeProtection(c *storev1.ObserveProtection) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ObserveProtection{ObserveProtection: c}}
}

func proved(p ...*storev1.Protection) *storev1.Command {
	return observeProtection(&storev1.ObserveProtection{Proved: p})
}

func lost(p ...*storev1.Protection) *storev1.Command {
	return observeProtection(&storev1.ObserveProtection{Lost: p})
}

func TestPairKeys(t *testing.T) {
	t.Parallel()
	m := sites(t)
	m.must(at(50, putKey(key("h1", "h2", 1), key("h1", "h3", 1), key("h2", "h3", 1), key("h1", "h9", 1), key("g0", "h1", 1))))
	if diff := cmp.Diff([]string{"pair_keys h1/h2 +", "pair_keys h1/h3 +", "pair_keys h2/h3 +"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	v := m.view()
	want := key("h1", "h3", 1)
	want.CreateTime = timestamppb.New(time.Unix(1_700_000_050, 0))
	if diff := cmp.Diff(want, v.PairKey("h3", "h1"), protocmp.Transform()); diff != "" || v.PairKey("h1", "h3") != v.PairKey("h3", "h1") {
		t.Error(diff)
	}
	if len(v.PairKeys()) != 3 || len(v.PairKeysOfHost("h1")) != 2 || len(v.PairKeysOfHost("h4")) != 0 || v.PairKey("h1", "h4") != nil {
		t.Errorf("keys %v", v.PairKeys())
	}
	// A rotation, and an answer to a state of the past.
	next := key("h1", "h2", 2)
	next.SealedNextPsk, next.UnneededSince, next.CreateTime = []byte("next"), 7, timestamppb.New(time.Unix(5, 0))
	m.must(putKey(next))
	m.must(putKey(key("h1", "h2", 1)))
	m.must(forgetKey(key("h1", "h2", 1), key("h1", "h3", 2), key("h3", "h4", 1)))
	if diff := cmp.Diff(next, m.view().PairKey("h1", "h2"), protocmp.Transform()); diff != "" || m.view().PairKey("h1", "h3") == nil {
		t.Error(diff)
	}
	m.must(forgetKey(&storev1.PairKey{HostA: "h1", HostB: "h2", Generation: 2}))
	if m.view().PairKey("h1", "h2") != nil {
		t.Error("not forgotten")
	}
	m.must(deleteHost("h3", ""))
	if diff := cmp.Diff([]string{"hosts h3 -", "pair_keys h1/h3 -", "pair_keys h2/h3 -"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
}

func TestPairKeysRefuse(t *testing.T) {
	t.Parallel()
	m := sites(t)
	large := key("h1", "h2", 1)
	large.SealedPsk = bytes.Repeat([]byte("x"), 257)
	next := key("h1", "h2", 1)
	next.SealedNextPsk = bytes.Repeat([]byte("x"), 257)
	fits := key("h1", "h2", 1)
	fits.SealedPsk, fits.SealedNextPsk = large.SealedPsk[1:], large.SealedPsk[1:]
	invalid := func(field, value, reason string) error {
		return &InvalidError{Field: field, Value: value, Reason: reason}
	}
	confirmed := func(c *storev1.Command) refusal {
		return refusal{"to be confirmed: " + commandOf(numberOf(c)).name, within(time.Minute, c), invalid("confirm_within", "1m0s", "is not for this command: it cannot be undone")}
	}
	checkRefusals(t, m, []refusal{
		{"wrong order", putKey(fits, key("h2", "h1", 1)), invalid("put[1].host_b", "h1", "must sort after host_a, which is h2")},
		{"one host", putKey(key("h2", "h2", 1)), invalid("put[0].host_b", "h2", "must sort after host_a, which is h2")},
		{"no host", putKey(key("", "h2", 1)), invalid("put[0].host_a", "", "is required")},
		{"path", putKey(key("h1", "h2/h3", 1)), invalid("put[0].host_b", "h2/h3", `holds a "/"`)},
		{"forget in the wrong order", forgetKey(key("h2", "h1", 1)), invalid("forget[0].host_b", "h1", "must sort after host_a, which is h2")},
		{"large", putKey(large), invalid("put[0].sealed_psk", "257 bytes", "must be at most 256")},
		{"large next", putKey(next), invalid("put[0].sealed_next_psk", "257 bytes", "must be at most 256")},
		{"no generation", putKey(key("h1", "h2", 0)), invalid("put[0].generation", "0", "must be 1 at least")},
		{"proof in the wrong order", proved(protection("h2", "h1", "gre")), invalid("proved[0].host_b", "h1", "must sort after host_a, which is h2")},
		{"proof of another type", lost(protection("h1", "h2", "stt")), invalid("lost[0].encapsulation", "stt", `must be "vxlan", "gre" or "geneve"`)},
		{"proof of a long type", proved(protection("h1", "h2", strings.Repeat("x", 999))), invalid("proved[0].encapsulation", strings.Repeat("x", 128), `must be "vxlan", "gre" or "geneve"`)},
		confirmed(putKey(fits)), confirmed(proved()), confirmed(putRelays(nil)), confirmed(multicast(nil, nil)),
	})
	m.must(putKey(fits))
}

func TestProtections(t *testing.T) {
	t.Parallel()
	m := sites(t)
	m.must(putKey(key("h1", "h2", 1), key("h1", "h3", 1)))
	// Of a pair without a key, nothing is proved.
	m.must(at(60, proved(protection("h1", "h2", "vxlan"), protection("h1", "h2", "gre"), protection("h1", "h3", "geneve"), protection("h2", "h3", "gre"))))
	v := m.view()
	if got := v.Protection("h2", "h1", "gre"); got.GetProveTime().GetSeconds() != 1_700_000_060 || got != v.Protection("h1", "h2", "gre") {
		t.Errorf("got %v", got)
	}
	if len(v.Protections()) != 3 || len(v.ProtectionsOfHost("h1")) != 3 || len(v.ProtectionsOfHost("h2")) != 2 || v.Protection("h2", "h3", "gre") != nil {
		t.Errorf("protections %v", v.Protections())
	}
	again := protection("h1", "h2", "gre")
	again.ProveTime = timestamppb.New(time.Unix(7, 0))
	m.must(observeProtection(&storev1.ObserveProtection{Proved: []*storev1.Protection{again}, Lost: []*storev1.Protection{again, protection("h1", "h2", "vxlan"), protection("h1", "h4", "gre")}}))
	if diff := cmp.Diff([]string{"protections h1/h2/gre ~", "protections h1/h2/vxlan -"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	m.must(putKey(key("h1", "h2", 2))) // a rotation
	if diff := cmp.Diff([]string{"pair_keys h1/h2 ~"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	m.must(putKeys(&storev1.PutPairKeys{Forget: []*storev1.PairKey{key("h1", "h2", 2)}, Put: []*storev1.PairKey{key("h1", "h2", 2)}}))
	if m.view().Protection("h1", "h2", "gre") != nil || m.view().Protection("h1", "h3", "geneve") == nil {
		t.Errorf("protections %v", m.view().Protections())
	}
}

// What a proof rests on is one machine with one address under one guard.
func TestProtectionEnds(t *testing.T) {
	t.Parallel()
	facts := func(address string) *storev1.Command {
		return observe(&storev1.ObserveHost{HostUuid: "h1", Facts: &storev1.HostFacts{TransportAddress: address, TransportMtu: 1500}})
	}
	edit := func(f func(*poolwirev1.Host)) *storev1.Command {
		h := host("h1", "p1")
		f(h)
		return putHost(h, false)
	}
	for _, tt := range []struct {
		name string
		cmd  *storev1.Command
		ends bool
	}{
		{"name", edit(func(h *poolwirev1.Host) { h.NameLabel = "new" }), false},
		{"credential", edit(func(h *poolwirev1.Host) { h.Ipsec = &poolwirev1.HostIpsec{Credential: certificate} }), false},
		{"guard as it was by default", edit(func(h *poolwirev1.Host) { h.TransportGuard = onBridges }), false},
		{"guard", edit(func(h *poolwirev1.Host) { h.TransportGuard = hostFirewall }), true},
		{"managed", edit(func(h *poolwirev1.Host) { h.Managed = false }), true},
		{"address", edit(func(h *poolwirev1.Host) { h.Address = "ssl:elsewhere:6640" }), true},
		{"transport address", edit(func(h *poolwirev1.Host) { h.TransportAddress = "192.0.2.9" }), true},
		{"same facts", facts("192.0.2.1"), false},
		{"other address seen", facts("192.0.2.2"), true},
		{"no address seen", facts(""), true},
		{"another host", deleteHost("h3", ""), false},
		{"key", forgetKey(key("h1", "h2", 1)), true},
		{"gone", deleteHost("h2", ""), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := sites(t)
			m.must(facts("192.0.2.1"))
			m.must(putKey(key("h1", "h2", 1), key("h2", "h4", 1)))
			m.must(proved(protection("h1", "h2", "vxlan"), protection("h2", "h4", "vxlan")))
			m.must(tt.cmd)
			if m.view().Protection("h1", "h2", "vxlan") == nil != tt.ends {
				t.Errorf("protections %v", m.view().Protections())
			}
			if m.view().Protection("h2", "h4", "vxlan") == nil && tt.name != "gone" {
				t.Error("so did another")
			}
		})
	}
}

// Errors, which are logged, show nothing of a key.
func TestSealedKeysAreNotInErrors(t *testing.T) {
	t.Parallel()
	m := sites(t)
	k := key("h1", "h2", 0)
	k.SealedPsk = []byte(strings.Repeat("ciphertext", 30))
	for _, generation := range []uint32{0, 1} {
		k.Generation = generation
		_, err := m.apply(putKey(k))
		var invalid *InvalidError
		if !errors.As(err, &invalid) || strings.Contains(err.Error(), "ciphertext") {
			t.Errorf("err = %v", err)
		}
	}
}
