package kernel_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab/kernel"
)

// spared is how many pings, 10 ms apart, may be lost while strongSwan takes over a changed connection: it takes the policy
// of the connection before away first, and what is sent in that moment the guard drops.
const spared = 3

// rotated has the key of the pair replaced under traffic: next to nothing is lost meanwhile, and nothing is left behind.
func rotated(t *testing.T, d *duo) {
	ping, cable := green(t, d)
	answered(t, ping, 20, 20*time.Second)
	before := d.keys(t)
	d.do(t, "tunnel", "rotate-keys", "--host", "kern1", "--peer", "kern2")
	begun := time.Now()
	eventually(t, func(ctx context.Context) error {
		for _, h := range []*kernel.Host{d.h1, d.h2} {
			out, err := h.Vsctl(ctx, "--bare", "--columns=name", "find", "Interface", "type=gre")
			if err != nil {
				return err
			}
			if carrier := strings.Contains(out, "pwk"); carrier || slices.Contains(before, d.key(t, h)) {
				return fmt.Errorf("%s: the rotation is not over; both keys there: %v", h.ShortName, carrier)
			}
		}
		return nil
	})
	t.Logf("rotation took %v", time.Since(begun))
	after := d.keys(t)
	if after[0] != after[1] {
		t.Error("the hosts' keys differ")
	}
	answered(t, ping, 50, 20*time.Second)
	if r := lost(t, "key rotated", ping); r.Lost() > spared {
		t.Errorf("%d pings lost", r.Lost())
	}
	d.ready(t, "green")
	sealed(t, cable, 100)
}

// rekeyed has the IKE daemon negotiate new keys of both associations under traffic.
func rekeyed(t *testing.T, d *duo) {
	ping, cable := green(t, d)
	answered(t, ping, 20, 20*time.Second)
	had := spis(t, d.h1)
	if out, err := d.h1.Run(within(t, 20*time.Second), "sh", "-c",
		`for c in $(ipsec status | sed -n 's/^ *\(pw[^{]*\){[0-9]*}:  *INSTALLED.*/\1/p' | sort -u); do ipsec stroke rekey "$c{*}"; done`); err != nil {
		t.Fatal(out, err)
	}
	eventually(t, func(context.Context) error {
		if now := spis(t, d.h1); slices.ContainsFunc(had, func(spi string) bool { return slices.Contains(now, spi) }) {
			return fmt.Errorf("associations were %v and are %v", had, now)
		}
		return nil
	})
	answered(t, ping, 50, 20*time.Second)
	if r := lost(t, "keys negotiated anew", ping); r.Lost() > 0 {
		t.Errorf("%d pings lost", r.Lost())
	}
	sealed(t, cable, 100)
}

// key is the key that a host's tunnel has.
func (d *duo) key(t *testing.T, h *kernel.Host) string {
	t.Helper()
	out, err := h.Vsctl(within(t, 20*time.Second), "get", "Interface", d.tunnel(t, h), "options:psk")
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(out)
	if !slices.Contains(d.had, key) {
		d.had = append(d.had, key)
	}
	return key
}

func (d *duo) keys(t *testing.T) []string {
	t.Helper()
	return []string{d.key(t, d.h1), d.key(t, d.h2)}
}
