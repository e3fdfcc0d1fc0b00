package adoption

import "cmp"

// Use says what a tunnel of the plugin's is for while its network is taken over.
type Use uint8

// The uses.
const (
	// Closed tunnels pass nothing: a second way to the same hosts would close a loop, and what an encrypted network sends
	// by a tunnel whose protection Poolwire has not seen might leave in clear.
	Closed Use = iota
	// Open tunnels reach hosts that are not members yet.
	Open
	// Relieved tunnels lead to a member. They are removed; what arrives until then is taken.
	Relieved
)

// key names a tunnel.
type key struct{ host, port string }

// Uses are those of the tunnels on the hosts that are members.
type Uses map[key]Use

// Of returns the use of an interface of a host.
func (u Uses) Of(host, port string) Use { return u[key{host, port}] }

// Uses says what becomes of each tunnel when some hosts, and no others, are members. Members are as one: they reach each
// other by Poolwire's tunnels. Of the tunnels by which they reach hosts that reach each other without them, the first is
// open, so that what is open is a tree whatever the plugin has made.
func (n Network) Uses(member func(hostUUID string) bool, encrypted bool) Uses {
	out, islands := Uses{}, n.islands(member)
	taken := map[string]bool{}
	for _, t := range n.Tunnels {
		if !member(t.Host.GetUuid()) {
			continue
		}
		at := key{t.Host.GetUuid(), t.Port.GetName()}
		switch island := islands.of(t.place()); {
		case t.Far != nil && member(t.Far.GetUuid()):
			out[at] = Relieved
		case encrypted || taken[island]:
			out[at] = Closed
		default:
			out[at], taken[island] = Open, true
		}
	}
	return out
}

// Center is the host with the most tunnels, the first of several; empty when there are none.
func (n Network) Center() (hostUUID string) {
	count := map[string]int{}
	for _, t := range n.Tunnels {
		count[t.Host.GetUuid()]++
	}
	for host, tunnels := range count {
		if hostUUID == "" || cmp.Or(cmp.Compare(tunnels, count[hostUUID]), cmp.Compare(hostUUID, host)) > 0 {
			hostUUID = host
		}
	}
	return hostUUID
}

// islands are the groups of places that reach each other without any member: a union-find forest.
type islands map[string]string

func (n Network) islands(member func(string) bool) islands {
	out := islands{}
	for _, t := range n.Tunnels {
		a, b := t.Host.GetUuid(), t.place()
		if !member(a) && (t.Far == nil || !member(b)) {
			out[out.of(a)] = out.of(b)
		}
	}
	return out
}

func (i islands) of(place string) string {
	for {
		next, joined := i[place]
		if !joined || next == place {
			return place
		}
		place = next
	}
}
