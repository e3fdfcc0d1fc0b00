package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"syscall"
	"time"

	"poolwire/integration/lab"
)

// fault is one thing that goes wrong. begin brings it about; whom tells where. end, which may
// be nil, undoes it.
type fault struct {
	name  string
	begin func(ctx context.Context, i *injector) (whom string, end func(context.Context) error, err error)
}

// faults are all there are.
func faults() []fault {
	return []fault{
		{"leader killed", killLeader},
		{"leader killed", killLeader},
		{"follower killed", killFollower},
		{"all killed", killAll},
		{"leader paused", pause(leading)},
		{"follower paused", pause(following)},
		{"leader cut off", cutOff(leading, inward, outward)},
		{"follower cut off", cutOff(following, inward, outward)},
		{"leader deaf", cutOff(leading, inward)},
		{"leader mute", cutOff(leading, outward)},
		{"follower deaf", cutOff(following, inward)},
		{"follower mute", cutOff(following, outward)},
		{"leader and one follower apart", cutPair},
		{"packets lost", losePackets},
		{"links narrow", narrowLinks},
		{"leader's disk stalled", stall(leading)},
		{"follower's disk stalled", stall(following)},
		{"leader's disk full", fillDisk(leading)},
		{"follower's disk full", fillDisk(following)},
		{"last write torn", tearLog},
		{"packets late", latePackets(lab.Lateness{Least: 25 * time.Millisecond, Most: 125 * time.Millisecond})},
		{"packets late and lost", latePackets(lab.Lateness{Least: 25 * time.Millisecond, Most: 125 * time.Millisecond, Lost: 0.05, Overtaking: true})},
		{"leader's clock jumps", jump},
		{"clocks apart", setApart},
		{"clock past the certificates' end", outlive},
	}
}

// chosen are the faults whose names match a regular expression.
func chosen(names string) ([]fault, error) {
	match, err := regexp.Compile(names)
	if err != nil {
		return nil, err
	}
	deck := slices.DeleteFunc(faults(), func(f fault) bool { return !match.MatchString(f.name) })
	if len(deck) == 0 {
		return nil, fmt.Errorf("no fault is named like %q", names)
	}
	return deck, nil
}

// who chooses the node that a fault is for.
type who func(ctx context.Context, i *injector) (*node, error)

func leading(ctx context.Context, i *injector) (*node, error) { return i.cluster.leader(ctx) }

func following(ctx context.Context, i *injector) (*node, error) {
	leader, err := i.cluster.leader(ctx)
	if err != nil {
		return nil, err
	}
	others := i.cluster.others(leader)
	return others[i.rng.IntN(len(others))], nil
}

// killLeader also measures how long nothing can be written.
func killLeader(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
	n, err := leading(ctx, i)
	if err != nil {
		return "", nil, err
	}
	n.kill()
	gap, err := i.probe(ctx)
	if err != nil {
		return n.id, nil, err
	}
	i.report.unavailable(gap)
	return fmt.Sprintf("%s, written again after %v", n.id, gap.Round(time.Millisecond)), func(context.Context) error { return n.start() }, nil
}

func killFollower(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
	n, err := following(ctx, i)
	if err != nil {
		return "", nil, err
	}
	n.kill()
	return n.id, func(context.Context) error { return n.start() }, nil
}

func killAll(_ context.Context, i *injector) (string, func(context.Context) error, error) {
	for _, n := range i.cluster.nodes {
		n.kill()
	}
	return "", func(context.Context) error {
		var errs []error
		for _, n := range i.cluster.nodes {
			errs = append(errs, n.start())
		}
		return errors.Join(errs...)
	}, nil
}

func pause(whom who) func(context.Context, *injector) (string, func(context.Context) error, error) {
	return func(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
		n, err := whom(ctx, i)
		if err != nil {
			return "", nil, err
		}
		return n.id, func(context.Context) error { return n.signal(syscall.SIGCONT) }, n.signal(syscall.SIGSTOP)
	}
}

func cutOff(whom who, ways ...way) func(context.Context, *injector) (string, func(context.Context) error, error) {
	return func(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
		n, err := whom(ctx, i)
		if err != nil {
			return "", nil, err
		}
		for _, w := range ways {
			err = errors.Join(err, n.cut(ctx, w, i.cluster.others(n)))
		}
		return n.id, n.reconnect, err
	}
}

// cutPair leaves the leader one follower, and the other one a node that hears the leader.
func cutPair(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
	n, err := leading(ctx, i)
	if err != nil {
		return "", nil, err
	}
	peer := i.cluster.others(n)[i.rng.IntN(2)]
	err = errors.Join(n.cut(ctx, inward, []*node{peer}), n.cut(ctx, outward, []*node{peer}))
	return n.id + " and " + peer.id, n.reconnect, err
}

func losePackets(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
	percent := 5 + i.rng.IntN(25)
	return fmt.Sprintf("%d %%", percent), i.reconnectAll, i.everywhere(func(n *node) error { return n.lose(ctx, percent) })
}

func narrowLinks(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
	kbit := 300 + i.rng.IntN(700)
	return fmt.Sprintf("%d kbit/s", kbit), i.reconnectAll, i.everywhere(func(n *node) error { return n.narrow(ctx, kbit) })
}

// latePackets holds every packet between nodes up, both ways.
func latePackets(late lab.Lateness) func(context.Context, *injector) (string, func(context.Context) error, error) {
	return func(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
		return fmt.Sprintf("%v to %v", late.Least, late.Most), i.reconnectAll, i.everywhere(func(n *node) error { return n.hold(ctx, late) })
	}
}

// stallFor is longer than a node waits for its disk before it makes way (2.5 s).
const stallFor = 4 * time.Second

func stall(whom who) func(context.Context, *injector) (string, func(context.Context) error, error) {
	return func(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
		n, err := whom(ctx, i)
		if err != nil {
			return "", nil, err
		}
		return n.id, nil, n.freeze(ctx, stallFor)
	}
}

func fillDisk(whom who) func(context.Context, *injector) (string, func(context.Context) error, error) {
	return func(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
		n, err := whom(ctx, i)
		if err != nil {
			return "", nil, err
		}
		left := uint64(i.rng.IntN(64)) << 20
		return fmt.Sprintf("%s, %d MiB left", n.id, left>>20), func(context.Context) error { return n.drain() }, n.fill(ctx, left)
	}
}

// tearLog takes from a follower only what the others have: Raft counts on what a node has
// confirmed, and a write that was cut short was not confirmed. What is acknowledged after the
// node is gone says that both others have all that came before.
func tearLog(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
	n, err := following(ctx, i)
	if err != nil {
		return "", nil, err
	}
	n.kill()
	restart := func(context.Context) error { return n.start() }
	if _, err := i.probe(ctx); err != nil {
		return n.id, restart, err
	}
	how, err := n.tear(i.rng)
	return n.id + ", " + how, restart, err
}

// between is a random time.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}
