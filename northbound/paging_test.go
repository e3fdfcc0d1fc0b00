package northbound

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	v1 "poolwire/proto/poolwire/v1"
)

// TestPagingStability: whatever comes and goes between two pages, every entry
// that was there all the time is listed exactly once, in order.
func TestPagingStability(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[ab]{0,3}`)
		steady := rapid.SliceOfDistinct(name, rapid.ID[string]).Draw(t, "steady")
		query := pageQuery{size: rapid.Uint32Range(1, 4).Draw(t, "size"), query: []string{"names"}}
		var got []string
		for n := 0; n == 0 || query.token != ""; n++ {
			passing := rapid.SliceOfN(name, 0, 4).Draw(t, "passing")
			all := slices.Concat(steady, passing)
			slices.Sort(all)
			all = rapid.Permutation(slices.Compact(all)).Draw(t, "order")
			var v violations
			at := query.cursor(&v)
			if v.err() != nil || n > 100 {
				t.Fatalf("page %d: %v", n, v.err())
			}
			page, next := pageAs(at, all, func(s string) string { return sortKey(s, "uuid") }, wrapperspb.String)
			if len(page) > int(query.size) {
				t.Fatalf("page of %d, asked for %d", len(page), query.size)
			}
			for _, s := range page {
				got = append(got, s.GetValue())
			}
			query.token = next
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("not in order, or twice: %q", got)
		}
		kept := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !slices.Contains(steady, s) })
		if want := slices.Sorted(slices.Values(steady)); !slices.Equal(kept, want) {
			t.Fatalf("listed %q, want %q", kept, want)
		}
	})
}

// TestPages lists real resources page by page: each once, in the documented
// order, and tokens are good for their own request only.
func TestPages(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	for i := range 7 {
		f.apply(putPool(&v1.Pool{Uuid: id('a', 10+i), NameLabel: fmt.Sprintf("pool %d", (i*3)%7)}, true))
		f.apply(putVif(&v1.Vif{Uuid: id('c', 20-i)}, true))
	}
	pools := pages(t, func(token string) ([]*v1.Pool, string, error) {
		r, err := f.ListPools(f.ctx, &v1.ListPoolsRequest{PageSize: 2, PageToken: token})
		return r.GetPools(), r.GetNextPageToken(), err
	})
	if got := labels(pools); len(got) != 9 || !slices.IsSortedFunc(pools, func(a, b *v1.Pool) int { return strings.Compare(a.GetNameLabel(), b.GetNameLabel()) }) {
		t.Errorf("pools %v", got)
	}
	vifs := pages(t, func(token string) ([]*v1.Vif, string, error) {
		r, err := f.ListVifs(f.ctx, &v1.ListVifsRequest{PageSize: 3, PageToken: token})
		return r.GetVifs(), r.GetNextPageToken(), err
	})
	if len(vifs) != 10 || !slices.IsSortedFunc(vifs, func(a, b *v1.Vif) int { return strings.Compare(a.GetUuid(), b.GetUuid()) }) {
		t.Errorf("VIFs %v", vifs)
	}
	networks := pages(t, func(token string) ([]*v1.Network, string, error) {
		r, err := f.ListNetworks(f.ctx, &v1.ListNetworksRequest{PageSize: 1, PageToken: token})
		return r.GetNetworks(), r.GetNextPageToken(), err
	})
	var order []string
	for _, n := range networks {
		order = append(order, f.store.View().Pool(n.GetPoolUuid()).GetNameLabel()+"/"+n.GetBridge())
	}
	if want := []string{"lyon/xapi1", "lyon/xenbr0", "paris/xapi1", "paris/xenbr0"}; !slices.Equal(order, want) {
		t.Errorf("networks %v, want %v", order, want)
	}
	pifs := pages(t, func(token string) ([]*v1.Pif, string, error) {
		r, err := f.ListPifs(f.ctx, &v1.ListPifsRequest{PageSize: 2, PageToken: token})
		return r.GetPifs(), r.GetNextPageToken(), err
	})
	order = nil
	for _, p := range pifs {
		order = append(order, fmt.Sprintf("%s/%s.%d", f.store.View().Host(p.GetHostUuid()).GetNameLabel(), p.GetDevice(), p.GetVlan()))
	}
	if want := []string{"xcp1/eth0.0", "xcp1/eth0.10", "xcp2/eth0.0", "xcp2/eth0.10", "xcp3/eth0.0", "xcp3/eth0.10"}; !slices.Equal(order, want) {
		t.Errorf("PIFs %v, want %v", order, want)
	}

	page, err := f.ListVifs(f.ctx, &v1.ListVifsRequest{PageSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.ListVifs(f.ctx, &v1.ListVifsRequest{PageSize: 3, Host: "xcp1", PageToken: page.GetNextPageToken()})
	refusal{codes.InvalidArgument, "page_token", []string{"another request"}}.check(t, err)
}

// pages collects all pages.
func pages[T any](t *testing.T, page func(token string) ([]T, string, error)) []T {
	t.Helper()
	var all []T
	for token := ""; ; {
		items, next, err := page(token)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, items...)
		if next == "" {
			return all
		}
		token = next
	}
}

// TestFilters: lists narrow down by host, network, VM and pool.
func TestFilters(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.plug(xcp2, "vif4.0", "xapi1", id('c', 4), mac(4), 4)
	for want, req := range map[string]*v1.ListVifsRequest{
		vif1:                           {Host: "xcp1"},
		vif2 + " " + id('c', 4):        {Host: xcp2},
		id('c', 4):                     {Network: "xapi1", Host: "xcp2"},
		vif1 + " " + vif2:              {Network: f.network(paris, "xenbr0").GetUuid()},
		vif1 + " " + vif2 + " " + vif3: {VmUuid: strings.ToUpper(id('d', 2))},
	} {
		r, err := f.ListVifs(f.ctx, req)
		var got []string
		for _, v := range r.GetVifs() {
			got = append(got, v.GetUuid())
		}
		if req.GetNetwork() == "xapi1" {
			// xapi1 is a bridge of both pools.
			refusal{codes.InvalidArgument, "network", []string{"ambiguous", "; name the pool (pool=lyon or pool=paris)"}}.check(t, err)
			continue
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%v: %v, %v; want %s", req, got, err, want)
		}
	}
	hosts, err := f.ListHosts(f.ctx, &v1.ListHostsRequest{Pool: "lyon"})
	if err != nil || len(hosts.GetHosts()) != 1 || hosts.GetHosts()[0].GetStatus().GetState() != v1.HostState_HOST_STATE_READY {
		t.Errorf("hosts of lyon: %v, %v", hosts, err)
	}
}

// TestPagesOfLongEntries: a page ends where its entries get too long for one answer, and the next one goes on there.
func TestPagesOfLongEntries(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	const groups = 12
	f.longGroups(groups)
	var most, n int
	all := pages(t, func(token string) ([]*v1.AddressGroup, string, error) {
		// A client takes 4 MiB unless it is told otherwise.
		r, err := f.ListAddressGroups(f.ctx, &v1.ListAddressGroupsRequest{PageSize: 1000, PageToken: token})
		n++
		most = max(most, proto.Size(r))
		return r.GetAddressGroups(), r.GetNextPageToken(), err
	})
	uuids := map[string]bool{}
	for _, g := range all {
		uuids[g.GetUuid()] = true
	}
	if len(all) != groups || len(uuids) != groups {
		t.Errorf("%d groups, %d of them different", len(all), len(uuids))
	}
	if n < 2 || most > 4<<20 || most < 3<<20 {
		t.Errorf("%d pages, the longest of %d bytes", n, most)
	}
}

// longGroups makes groups of as many addresses as one may have, some 650 KB each.
func (f *fixture) longGroups(n int) {
	f.t.Helper()
	for g := range n {
		addresses := make([]string, maxGroupMembers)
		for i := range addresses {
			addresses[i] = fmt.Sprintf("2001:db8:aaaa:bbbb:cccc:%x:%x:%x/128", 0x1000+g, 0x1000+i/1000, 0x2000+2*(i%1000)+1)
		}
		f.addAddressGroup(fmt.Sprint("group ", g), addresses...)
	}
}
