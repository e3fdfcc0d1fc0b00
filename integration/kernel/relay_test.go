package kernel_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"poolwire/integration/lab"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// moves is the longest that traffic between two hosts may be interrupted when the host that passes it on is gone.
const moves = 5 * time.Second

// uuid of a host, as the controller knows it.
func (d *trio) uuid(t *testing.T, name string) string {
	t.Helper()
	conn, err := d.Conn()
	if err != nil {
		t.Fatal(err)
	}
	r, err := poolwirev1.NewHostServiceClient(conn).GetHost(within(t, 20*time.Second), &poolwirev1.GetHostRequest{Host: name})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetHost().GetUuid()
}

// relayed waits until a star's centre, or the hub of the first two hosts' pool, is as wanted.
func (d *trio) relayed(t *testing.T, want func(*poolwirev1.PrivateNetworkRelay) bool) {
	t.Helper()
	eventually(t, func(context.Context) error {
		now := d.network(t, "green").GetRelays()
		for _, r := range now {
			if pool := r.GetPoolUuid(); (pool == "" || pool == d.pool) && want(r) {
				return nil
			}
		}
		return fmt.Errorf("relays are %v", now)
	})
}

// reshaped gives the network another topology, in which a host passes on what others say, and waits for that.
func (d *trio) reshaped(t *testing.T, relay string, args ...string) {
	t.Helper()
	all := cables(t, d.hosts()...)
	d.do(t, append([]string{"private-network", "update", "green"}, args...)...)
	d.relayed(t, func(r *poolwirev1.PrivateNetworkRelay) bool {
		return r.GetActiveHostUuid() == relay && r.GetStandbyHostUuid() != ""
	})
	d.ready(t, "green")
	for _, p := range d.pings(t, [2]int{1, 2}, [2]int{2, 3}, [2]int{3, 1}) {
		answered(t, p, 50, 20*time.Second)
		lost(t, "in the new topology", p)
	}
	shut(t, all, func(lab.Packet) bool { return true })
}

// lostRelay takes the first host, which passes on what the others say, out of reach: another one takes its place, and traffic
// between the two that are left goes on.
func (d *trio) lostRelay(t *testing.T, what string, gone func()) {
	t.Helper()
	relay := d.uuid(t, "kern1")
	all := cables(t, d.hosts()...)
	ping := d.pings(t, [2]int{2, 3})[0]
	cut := time.Now()
	gone()
	d.relayed(t, func(r *poolwirev1.PrivateNetworkRelay) bool {
		return r.GetActiveHostUuid() != "" && r.GetActiveHostUuid() != relay
	})
	t.Logf("%s: another host took its place after %v", what, time.Since(cut))
	answered(t, ping, 100, 30*time.Second)
	if r := lost(t, what, ping); r.Outage() > moves {
		t.Errorf("traffic was interrupted for %v, more than %v", r.Outage(), moves)
	}
	if n := shut(t, all, between(d.h2.Addr, d.h3.Addr)); n < 100 {
		t.Errorf("%d packets of ESP between the hosts that are left", n)
	}
}

// starMoves has the centre of a star cut off, and come back.
func starMoves(t *testing.T, d *trio) {
	centre := d.uuid(t, "kern1")
	d.reshaped(t, centre, "--topology", "star", "--preferred-center", "kern1")
	d.lostRelay(t, "centre partitioned", func() {
		if err := d.h1.Partition(within(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
	})
	all := cables(t, d.hosts()...)
	ping := d.pings(t, [2]int{2, 3})[0]
	if err := d.h1.Heal(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	d.relayed(t, func(r *poolwirev1.PrivateNetworkRelay) bool { return r.GetActiveHostUuid() == centre })
	answered(t, ping, 100, 30*time.Second)
	if r := lost(t, "centre back", ping); r.Outage() > moves {
		t.Errorf("traffic was interrupted for %v, more than %v", r.Outage(), moves)
	}
	for _, p := range d.pings(t, [2]int{1, 2}, [2]int{3, 1}) {
		lost(t, "to the centre", p)
	}
	shut(t, all, func(lab.Packet) bool { return true })
}

// hubMoves has the hub of a pool lose its power.
func hubMoves(t *testing.T, d *trio) {
	d.reshaped(t, d.uuid(t, "kern1"), "--topology", "hub", "--hub", "paris=kern1,kern2", "--preferred-center", "")
	d.lostRelay(t, "hub killed", d.h1.Kill)
}
