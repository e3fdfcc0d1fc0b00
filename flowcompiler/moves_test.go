package flowcompiler

import (
	"slices"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// forgets commits, and returns the cookies of what is to be forgotten.
func forgets(t *testing.T, c *Compiler) []uint64 {
	t.Helper()
	var out []uint64
	for _, f := range mustCommit(t, c).Flows.Forget {
		if f.Table != uint8(TableLearned) {
			t.Errorf("something is forgotten of table %d", f.Table)
		}
		out = append(out, f.Cookie)
	}
	return out
}

// TestMovesForgetWhatLedToTheOldHost: on the overlay bridge, when a VIF is gone from its old host, not while it is
// migrating; with relays, all that the network has learned.
func TestMovesForgetWhatLedToTheOldHost(t *testing.T) {
	in := overlayInput()
	c := mustCompile(t, in)
	at := func(r Remote, macs, moving []flow.MAC) {
		r.MACs, r.Moving = macs, moving
		c.SetRemote(r)
	}
	old, now := in.Remotes[0], in.Remotes[1]
	expect := func(what string, want ...uint64) {
		t.Helper()
		if got := forgets(t, c); !slices.Equal(got, want) {
			t.Errorf("%s: %x is forgotten, not %x", what, got, want)
		}
	}
	at(now, []flow.MAC{remoteMAC3}, []flow.MAC{remoteMAC})
	at(old, nil, []flow.MAC{remoteMAC})
	expect("migrating")
	at(old, nil, nil)
	at(now, []flow.MAC{remoteMAC3, remoteMAC}, nil)
	expect("moved", LearnedCookie(netRed, 12))
	c.RemoveRemote(netRed, hostThree)
	expect("the host is gone", LearnedCookie(netRed, 13))

	relayed := in.Networks[0]
	relayed.RelayVNI = relayRed
	c.SetNetwork(relayed)
	at(old, []flow.MAC{remoteMAC}, nil)
	expect("a relay")
	at(old, nil, nil)
	expect("moved, behind a relay", LearnedCookie(netRed, 12), LearnedCookie(netRed, 13))
}

// TestMovesForgetWhatIsHereNow: on a network bridge, when a VIF comes, and when it has nothing left elsewhere.
func TestMovesForgetWhatIsHereNow(t *testing.T) {
	in := redInput()
	c := mustCompile(t, in)
	v := in.VIFs[0]
	for _, step := range []struct {
		what   string
		change func()
		want   []uint64
	}{
		{"another address", func() { v.MAC = macX; c.SetVIF(v) }, nil},
		{"plugged elsewhere too", func() { v.Moving = true; c.SetVIF(v) }, nil},
		{"only here", func() { v.Moving = false; c.SetVIF(v) }, []uint64{LearnedCookie(netRed, 0)}},
		{"gone", func() { c.RemoveVIF(v.ID) }, nil},
		{"back", func() { c.SetVIF(v) }, []uint64{LearnedCookie(netRed, 0)}},
	} {
		step.change()
		if got := forgets(t, c); !slices.Equal(got, step.want) {
			t.Errorf("%s: %x is forgotten, not %x", step.what, got, step.want)
		}
	}
}

// TestSwitchMoves: only its traffic tells where a VIF is that is plugged twice. Once it is in one place, that counts,
// whatever was learned before.
func TestSwitchMoves(t *testing.T) {
	lab := newPrivateLab(t)
	red := redInput()
	red.VIFs[1].Moving, red.VIFs[1].Locking = true, Locked
	red.VIFs[1].IPv4 = prefixes("10.0.0.2/32")
	lab.install(t, red, blueInput(), overlayInput())
	lab.red.judge(t, []expect{{"not heard yet", packet("1", macA, macB), "redB redC redhost t2 t3"}})
	lab.overlay.traceText(t, fromTunnel("12", vniRed, macB, macA), "-generate")
	lab.red.await(t, TableLearned, macB.String())
	lab.red.judge(t, []expect{{"heard elsewhere", packet("1", macA, macB), "t2"}})
	lab.red.traceText(t, "in_port=2,arp,arp_op=2,arp_spa=10.0.0.2,arp_tpa=10.0.0.1,arp_sha="+macB.String()+",dl_src="+macB.String()+",dl_dst="+macA.String(), "-generate")
	lab.red.awaitGone(t, TableLearned, "0xffffffff")
	lab.red.judge(t, []expect{{"heard here", packet("1", macA, macB), "redB"}})

	lab.overlay.traceText(t, fromTunnel("12", vniRed, macB, macA), "-generate")
	lab.red.await(t, TableLearned, "0xffffffff")
	c := mustCompile(t, red)
	v := red.VIFs[1]
	v.Moving = false
	c.SetVIF(v)
	d := mustCommit(t, c)
	forget := d.Flows.Forget
	d.Flows.Forget = nil
	lab.red.apply(t, d)
	lab.red.await(t, TableLearned, "0xffffffff")
	lab.red.judge(t, []expect{{"known to be here, learned to be elsewhere", packet("1", macA, macB), "redB"}})
	lab.red.apply(t, Delta{Flows: flow.Delta{Forget: forget}})
	lab.red.awaitGone(t, TableLearned, "0xffffffff")
}
