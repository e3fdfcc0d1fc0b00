package flowcompiler

import (
	"fmt"
	"strings"
	"testing"

	"poolwire/overlay"
	"poolwire/southbound/openflow/flow"
)

const (
	relayRed = 0xfffff0
	hostFour = 74
)

// starCentre is the overlay bridge of the centre of a star with two other hosts.
func starCentre() Input {
	in := overlayInput()
	two, three := Tunnel{Host: hostTwo}, Tunnel{Host: hostThree}
	in.Networks = []Network{{ID: netRed, Private: true, VNI: vniRed, RelayVNI: relayRed}}
	in.Links = in.Links[:2]
	in.Remotes = in.Remotes[:2]
	for i := range in.Remotes {
		in.Remotes[i].Pass = in.Remotes[i].Via
	}
	in.Floods = map[uint32][]Hop{netRed: {{Tunnel: two}, {Tunnel: three}}}
	in.Passes = []Pass{{Network: netRed, Class: overlay.FromMembers, From: []Tunnel{two, three}, To: []Hop{{Tunnel: two}, {Tunnel: three}}}}
	in.Locals = map[uint32][]flow.MAC{netRed: {macA}}
	return in
}

// starSpoke is that of a host whose centre is host two, and host three its stand-in.
func starSpoke() Input {
	in := starCentre()
	two, three := Tunnel{Host: hostTwo}, Tunnel{Host: hostThree}
	in.Links = []Link{{Network: netRed, Tunnel: two, Answers: true}, {Network: netRed, Tunnel: three, Answers: true}}
	for i := range in.Remotes {
		in.Remotes[i].Via, in.Remotes[i].Pass = Hop{two, true}, Hop{}
	}
	in.Floods = map[uint32][]Hop{netRed: {{two, true}}}
	in.Passes, in.Locals = nil, nil
	return in
}

// hubInput is the overlay bridge of a hub: host two is in its own pool, host three the hub of another
// pool, host four the hub of a third.
func hubInput() Input {
	in := starCentre()
	two, three, four := Tunnel{Host: hostTwo}, Tunnel{Host: hostThree}, Tunnel{Host: hostFour}
	far, farther := Hop{three, true}, Hop{four, true}
	in.Links = []Link{
		{Network: netRed, Tunnel: two},
		{Network: netRed, Tunnel: three, Answers: true, Far: true}, {Network: netRed, Tunnel: four, Answers: true, Far: true},
	}
	in.Remotes[1].Via, in.Remotes[1].Pass = far, far
	in.Floods = map[uint32][]Hop{netRed: {{Tunnel: two}, far, farther}}
	in.Passes = []Pass{
		{Network: netRed, Class: overlay.FromMembers, From: []Tunnel{two}, To: []Hop{far, farther}},
		{Network: netRed, Class: overlay.FromSites, From: []Tunnel{three, four}, To: []Hop{{Tunnel: two}}},
	}
	return in
}

// relayCase is a packet, where it goes, and by which VNIs: how often each is set.
type relayCase struct {
	name, packet, fate string
	plain, relay       int
}

// TestSwitchRelays asks the switch what each part of a star and of hubs does with what arrives.
func TestSwitchRelays(t *testing.T) {
	all := flow.BroadcastMAC()
	local := "redA redB redC redhost"
	for _, part := range []struct {
		name  string
		input Input
		cases []relayCase
	}{
		{"centre", starCentre(), []relayCase{
			{"own broadcast", packet("1", macA, all), "t2 t3", 1, 0},
			{"own, known", packet("1", macA, remoteMAC), "t2", 1, 0},
			{"a broadcast to pass on", fromTunnel("12", relayRed, remoteMAC, all), local + " t3", 1, 0},
			{"not to pass on", fromTunnel("12", vniRed, remoteMAC, all), local, 0, 0},
			{"known elsewhere", fromTunnel("12", relayRed, remoteMAC, remoteMAC3), "t3", 1, 0},
			{"known here", fromTunnel("12", relayRed, remoteMAC, macA), "redA", 0, 0},
			{"back where it came from", fromTunnel("12", relayRed, macX, remoteMAC), "drop", 1, 0},
			{"unknown", fromTunnel("13", relayRed, remoteMAC3, macX), local + " t2", 1, 0},
			{"to pass on, from a stranger", fromTunnel("14", relayRed, macX, all), "drop", 0, 0},
			{"link-local control", fromTunnel("12", relayRed, remoteMAC, reservedMAC), "drop", 0, 0},
		}},
		{"spoke", starSpoke(), []relayCase{
			{"own broadcast", packet("1", macA, all), "t2", 0, 1},
			{"own, known", packet("1", macA, remoteMAC3), "t2", 0, 1},
			{"own, unknown", packet("1", macA, macX), "t2", 0, 1},
			{"passed on", fromTunnel("12", vniRed, remoteMAC3, macA), "redA", 0, 0},
			{"passed on by the stand-in", fromTunnel("13", vniRed, remoteMAC, macA), "redA", 0, 0},
			{"asked to pass on", fromTunnel("12", relayRed, remoteMAC3, all), "drop", 0, 0},
		}},
		{"hub", hubInput(), []relayCase{
			{"own broadcast", packet("1", macA, all), "t2 t3 t4", 1, 1},
			{"own, in the pool", packet("1", macA, remoteMAC), "t2", 1, 0},
			{"own, in another pool", packet("1", macA, remoteMAC3), "t3", 0, 1},
			{"out of the pool", fromTunnel("12", relayRed, remoteMAC, all), local + " t3 t4", 0, 1},
			{"out of the pool, known", fromTunnel("12", relayRed, remoteMAC, remoteMAC3), "t3", 0, 1},
			{"into the pool", fromTunnel("13", relayRed, remoteMAC3, all), local + " t2", 1, 0},
			{"into the pool, known", fromTunnel("13", relayRed, remoteMAC3, remoteMAC), "t2", 1, 0},
			{"into the pool, known here", fromTunnel("13", relayRed, remoteMAC3, macA), "redA", 0, 0},
			{"never from site to site", fromTunnel("14", relayRed, macX, remoteMAC3), "drop", 0, 0},
			{"within the pool", fromTunnel("12", vniRed, remoteMAC, all), local, 0, 0},
		}},
	} {
		t.Run(part.name, func(t *testing.T) {
			in := part.input
			in.Ports = append(in.Ports, Port{OFPort: 14, Kind: PortTunnel, Tunnel: Tunnel{Host: hostFour}})
			lab := newPrivateLab(t)
			lab.install(t, redInput(), blueInput(), in)
			for _, tc := range part.cases {
				t.Run(tc.name, func(t *testing.T) { lab.judgeRelay(t, tc) })
			}
		})
	}
}

// judgeRelay lets what local VIFs send enter by the patch port.
func (lab *privateLab) judgeRelay(t *testing.T, tc relayCase) {
	t.Helper()
	text := lab.overlay.traceText(t, strings.Fields(tc.packet)...)
	if got := lab.overlay.fate(t, text); got != tc.fate {
		t.Errorf("got  %s\nwant %s\n%s", got, tc.fate, text)
	}
	for vni, want := range map[int]int{vniRed: tc.plain, relayRed: tc.relay} {
		if got := strings.Count(text, fmt.Sprintf("set_field:%#x->tun_id", vni)); got != want {
			t.Errorf("VNI %#x is set %d times, not %d:\n%s", vni, got, want, text)
		}
	}
}

// TestSwitchRelayLearns: what a relay has learned from one host it passes on to that host alone, and by the
// key that reaches it; what it has learned from a tunnel can be forgotten by itself.
func TestSwitchRelayLearns(t *testing.T) {
	in := hubInput()
	in.Ports = append(in.Ports, Port{OFPort: 14, Kind: PortTunnel, Tunnel: Tunnel{Host: hostFour}})
	lab := newPrivateLab(t)
	lab.install(t, redInput(), blueInput(), in)
	nested, far := flow.MAC{2, 0, 0, 0, 9, 1}, flow.MAC{2, 0, 0, 0, 9, 2}
	// Dummy ports have no tunnel keys; a trace that generates a packet learns as a real one does.
	lab.overlay.traceText(t, fromTunnel("12", vniRed, nested, macA), "-generate")
	lab.overlay.traceText(t, fromTunnel("14", relayRed, far, macA), "-generate")
	lab.overlay.await(t, TableLearned, nested.String())
	lab.overlay.await(t, TableLearned, far.String())
	for _, tc := range []relayCase{
		{"into the pool", fromTunnel("13", relayRed, remoteMAC3, nested), "t2", 1, 0},
		{"own, in the pool", packet("1", macA, nested), "t2", 1, 0},
		{"out of the pool", fromTunnel("12", relayRed, remoteMAC, far), "t4", 0, 1},
		{"own, far", packet("1", macA, far), "t4", 0, 1},
		{"never from site to site", fromTunnel("13", relayRed, remoteMAC3, far), "drop", 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) { lab.judgeRelay(t, tc) })
	}
	cookie := LearnedCookie(netRed, 14)
	lab.overlay.ofctl(t, "del-flows", lab.overlay.name, fmt.Sprintf("cookie=%#x/-1,table=%d", cookie, TableLearned))
	lab.overlay.awaitGone(t, TableLearned, far.String())
	lab.overlay.await(t, TableLearned, nested.String())
}
