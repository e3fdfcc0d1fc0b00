package northbound

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// allHiddenNames goes through all there is: what the redactor finds by the words of a text has to be what a search for each of
// these names finds.
func allHiddenNames(d *redactor) []string {
	namesIn := func(v *raftstore.View) []string {
		return slices.Concat(labels(v.Pools()), labels(v.Hosts()), labels(v.Networks()), labels(v.PrivateNetworks()),
			labels(v.Vifs()), labels(v.PolicyRules()), labels(v.AddressGroups()), labels(v.VifGroups()))
	}
	shown := namesIn(d.seen)
	var out []string
	for _, n := range namesIn(d.whole) {
		if n != "" && !slices.Contains(shown, n) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, longerFirst)
	return slices.Compact(out)
}

// TestNamesAreTakenOutAsBySearch compares with a search for every name, in texts that are made of names, parts of
// names and what may stand between them.
func TestNamesAreTakenOutAsBySearch(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	names := []string{
		"db", "db one", "db one two", "one two three", "web-1", "web-1-a", "-1", "web", "Büro", "Büro 2", "(hidden)", "hidden", "a.b", ".b c",
		"x: y", "\"quoted\"", "ends-", "-begins", "a a", "a", "日本", "日本 語", "xenbr", "paris lyon",
	}
	for i, name := range names {
		f.addAddressGroup(name, fmt.Sprintf("203.0.113.%d/32", i))
	}
	label := func(vif, name string) {
		m := proto.CloneOf(f.store.View().Vif(vif))
		m.NameLabel, m.Etag = name, ""
		f.apply(putVif(m, false))
	}
	label(vif1, "web-1") // he has one of a name that something hidden has too
	label(vif3, "db one")
	network := f.store.View().NetworkByPoolBridge(paris, "xenbr0").GetUuid()
	r := &rights{name: "shop", pools: map[string]Role{}, networks: map[string]Role{network: RolePoolOperator}}
	parts := append(slices.Clone(names), "paris", "lyon", "xenbr0", "xcp1", "on", "tw", "hid", "Bür", "w", "_", " ", " ", " ", "-", ".", ":", "(", ")", "\"", ", ", "\n", "ü", "语")
	var taken int
	rapid.Check(t, func(rt *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 12).Draw(rt, "text"), rapid.SampledFrom([]string{"", " ", "-"}).Draw(rt, "between"))
		req := &v1.GetVifRequest{Vif: rapid.SampledFrom([]string{"", "nosuch", "db one", "web-1-a"}).Draw(rt, "said")}
		d := newRedactor(r, f.store.View(), req)
		want := text
		for _, name := range allHiddenNames(d) {
			want = withoutName(want, name)
		}
		if got := d.prose(text); got != want {
			rt.Fatalf("%q became %q, by search %q", text, got, want)
		}
		if want != text {
			taken++
		}
	})
	if taken == 0 {
		t.Error("no text had a hidden name")
	}
}

// crowd makes as many VIFs with names on the host of the other pool.
func (s *secured) crowd(vifs int) {
	s.t.Helper()
	for at := 0; at < vifs; at += 500 {
		o := &storev1.ObserveHost{HostUuid: xcp3}
		last := min(at+500, vifs)
		for n := 100 + at; n < 100+last; n++ {
			o.Ports = append(o.Ports, vifPort(xcp3, fmt.Sprintf("vif%d.0", n), "xenbr0", id('c', n), fmt.Sprintf("6e:0b:00:00:%02x:%02x", n/256, n%256), uint32(n)))
		}
		s.observe(o)
		for n := 100 + at; n < 100+last; n++ {
			m := s.store.View().Vif(id('c', n))
			s.apply(putVif(&v1.Vif{Uuid: m.GetUuid(), NameLabel: fmt.Sprintf("customer-%d-web", n), NetworkUuid: m.GetNetworkUuid(), Mac: m.GetMac()}, false))
		}
	}
}

// TestHiddenNamesAreNotGoneThrough: what an answer looks at does not grow with what is hidden.
func TestHiddenNamesAreNotGoneThrough(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	s.crowd(300)
	r := &rights{name: "shop", pools: map[string]Role{}, networks: map[string]Role{s.store.View().NetworkByPoolBridge(paris, "xenbr0").GetUuid(): RolePoolOperator}}
	d := newRedactor(r, s.store.View(), &v1.GetVifRequest{Vif: "nosuch"})
	looked, sees := 0, d.sees
	d.sees = func(key string, m proto.Message) bool { looked++; return sees(key, m) }
	d.seen = d.whole.Restrict(d.sees)
	if got := d.prose("there is no VIF nosuch, but customer-117-web and customer-118-webs"); got != "there is no VIF nosuch, but "+hiddenText+" and customer-118-webs" {
		t.Error(got)
	}
	if looked > 10 {
		t.Errorf("looked at %d objects", looked)
	}
}

// BenchmarkRefusedCall is what a tenant's refused call costs beside as many VIFs that are hidden from him.
func BenchmarkRefusedCall(b *testing.B) {
	for _, vifs := range []int{100, 10_000} {
		b.Run(fmt.Sprint(vifs), func(b *testing.B) {
			s := newSecured(b)
			s.grant("shop", RolePoolOperator, scopeCase{network: s.store.View().NetworkByPoolBridge(paris, "xenbr0").GetUuid()})
			s.crowd(vifs)
			r := rightsOf(s.store.View(), Identity{Name: "shop"})
			tenant := clientsOf(s.ca.dial(s.address, "shop", "none"))
			_, refused := tenant.GetVif(s.ctx, &v1.GetVifRequest{Vif: "nosuch"})
			if refused == nil {
				b.Fatal("there is a VIF of that name")
			}
			b.Run("call", func(b *testing.B) {
				for b.Loop() {
					_, _ = tenant.GetVif(s.ctx, &v1.GetVifRequest{Vif: "nosuch"})
				}
			})
			b.Run("redactor", func(b *testing.B) {
				for b.Loop() {
					_ = newRedactor(r, s.store.View(), &v1.GetVifRequest{Vif: "nosuch"}).failure(refused)
				}
			})
		})
	}
}
