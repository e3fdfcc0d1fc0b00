package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
)

const (
	// protectionLook is how often protection is looked at when nothing is known to have changed.
	protectionLook = time.Second
	// protectionRest is how long two looks are apart at the least.
	protectionRest = 50 * time.Millisecond
	// protectionLost is how long an end may not hear the other before what was proved is not believed any more.
	protectionLost = 3 * time.Second
	// maxProofs bounds how many tunnels are probed at once.
	maxProofs = 32
	// proofProbe is the size of the probes that prove protection: as small as they get.
	proofProbe = probeHead
)

// link is one tunnel between two hosts.
type link struct {
	pair
	conduit conduit
}

// protection proves that tunnels are protected. What it finds is stored: forwarding follows from that, and a new
// leader goes on from there. The guard stands meanwhile, so that nothing can be lost by believing.
type protection struct {
	lead *leader
	keys keyring

	mu sync.Mutex
	// hurdles say why a tunnel is not proved, guarded by mu.
	hurdles map[link]hurdle
}

// hurdle is what keeps a tunnel from being proved to be protected.
type hurdle struct {
	reason string // empty: nothing does
	// never: it stays so until somebody changes how a host is set up.
	never bool
}

// inTime is a hurdle that may go by itself.
func inTime(reason string) hurdle { return hurdle{reason: reason} }

func newProtection(l *leader) *protection {
	return &protection{lead: l, keys: keyring{lead: l, unneeded: map[pair]uint64{}, steps: map[pair]rotationStep{}}, hurdles: map[link]hurdle{}}
}

// hurdle is why a tunnel is not proved to be protected yet; without a reason when it is, or need not be.
func (p *protection) hurdle(l link) hurdle {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hurdles[l]
}

// keep looks after keys and proofs until ctx ends.
func (p *protection) keep(ctx context.Context) {
	look := time.NewTimer(0)
	defer look.Stop()
	<-look.C
	for {
		links, progress := p.lead.links.next(), p.lead.nextProgress()
		if err := p.look(ctx); err != nil && ctx.Err() == nil {
			p.lead.cfg.Log.Warn("protection of tunnels", "error", err)
		}
		look.Reset(protectionRest)
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		look.Reset(protectionLook)
		select {
		case <-ctx.Done():
			return
		case <-links:
		case <-progress:
		case <-look.C:
		}
	}
}

// look does once what is to be done.
func (p *protection) look(ctx context.Context) error {
	view := p.lead.store.View()
	needed := encryptedPairs(view)
	if len(needed) == 0 && len(view.PairKeys()) == 0 {
		return nil
	}
	if err := p.keys.tend(ctx, view, needed); err != nil {
		return fmt.Errorf("keys of pairs: %w", err)
	}
	var proved, lost []*storev1.Protection
	var open []proof
	hurdles := map[link]hurdle{}
	all, now := p.lead.links.all(), time.Now()
	p.wake(view, all, now)
	for _, pr := range slices.SortedFunc(maps.Keys(needed), comparePairs) {
		for e := range needed[pr] {
			q := p.examine(view, all, link{pr, conduit{encapsulation: e}}, now)
			switch {
			case q.holds && q.reason == "":
			case q.holds:
				lost = append(lost, q.record(now))
				hurdles[q.link] = q.hurdle
			case q.reason != "":
				hurdles[q.link] = q.hurdle
			default:
				open = append(open, q)
			}
		}
	}
	for i, err := range p.prove(ctx, open[:min(len(open), maxProofs)]) {
		if err == nil {
			proved = append(proved, open[i].record(time.Now()))
		} else {
			hurdles[open[i].link] = inTime(err.Error())
		}
	}
	p.mu.Lock()
	p.hurdles = hurdles
	p.mu.Unlock()
	if len(proved)+len(lost) == 0 {
		return nil
	}
	return p.lead.withDeadline(ctx, func(ctx context.Context) error {
		_, err := p.lead.store.Apply(ctx, &storev1.Command{Body: &storev1.Command_ObserveProtection{
			ObserveProtection: &storev1.ObserveProtection{Proved: proved, Lost: lost},
		}})
		return err
	})
}

// wake has the hosts plan again that have a tunnel which may speak now and does not: that of a network that is not
// encrypted too, when others between the two hosts are. And those that have one which may have other addresses now.
func (p *protection) wake(view *raftstore.View, all map[string]map[string]linkEnd, now time.Time) {
	for uuid, ends := range all {
		h := p.lead.host(uuid)
		for _, e := range ends {
			_, speaks := e.hears()
			if h == nil || !e.protected || view.PairKey(uuid, e.peer) == nil {
				continue
			}
			if e.readdressed(view) && p.lead.guardOf(e).stands || !speaks && p.lead.mayNegotiate(e, now) == "" {
				h.marks.nudge()
				break
			}
		}
	}
}

// proof is what is known of one tunnel that has to be protected.
type proof struct {
	link
	a, b linkEnd
	// holds: it was proved before.
	holds bool
	// hurdle is why it cannot be proved now, or why what was proved is not believed any more.
	hurdle
}

func (q proof) record(now time.Time) *storev1.Protection {
	return &storev1.Protection{HostA: q.pair.a, HostB: q.pair.b, Encapsulation: q.conduit.encapsulation.InterfaceType(), ProveTime: timestamppb.New(now)}
}

// examine says whether a tunnel can be probed, or whether what was proved of it still stands.
func (p *protection) examine(view *raftstore.View, all map[string]map[string]linkEnd, l link, now time.Time) proof {
	q := proof{link: l, holds: view.Protection(l.a, l.b, l.conduit.encapsulation.InterfaceType()) != nil}
	if view.PairKey(l.a, l.b) == nil {
		q.reason = "no key yet"
		return q
	}
	if reason := credentialProblem(view, view.Host(l.a), view.Host(l.b)); reason != "" {
		q.hurdle = hurdle{reason, true}
		return q
	}
	ends := [2]*linkEnd{&q.a, &q.b}
	for i, hosts := range [2][2]string{{l.a, l.b}, {l.b, l.a}} {
		end, there := all[hosts[0]][l.conduit.tunnelName(view.Host(hosts[1]))]
		if !there || end.ofport == 0 {
			if q.holds && all[hosts[0]] == nil {
				continue // the host is away: what it forwards it forwards behind its guard
			}
			q.reason = "no tunnel yet at " + view.Host(hosts[0]).GetNameLabel()
			return q
		}
		*ends[i] = end
		if q.hurdle = p.obstacle(view, end, q.holds, now); q.reason != "" {
			q.reason = view.Host(hosts[0]).GetNameLabel() + ": " + q.reason
			return q
		}
	}
	return q
}

// obstacle is what keeps one end from being proved; of one that is, what makes it not believed any more.
func (p *protection) obstacle(view *raftstore.View, e linkEnd, holds bool, now time.Time) hurdle {
	up, speaks := e.hears()
	if e.protected && e.readdressed(view) {
		return inTime("the tunnel gets other addresses")
	}
	if holds {
		// That the guard is not confirmed at the moment says nothing: nobody has taken it away.
		if g := p.lead.guardOf(e); g.never {
			return hurdle{g.reason, true}
		}
		if speaks && !up && now.Sub(e.since) > protectionLost {
			return inTime(deaf(e))
		}
		return hurdle{}
	}
	if !certified(view.Host(e.host)) {
		if _, err := psk(view, p.lead.cfg.Secrets, e.host, e.peer); err != nil {
			return hurdle{err.Error(), true}
		}
	}
	if g := p.lead.guardOf(e); g.never {
		return hurdle{g.reason, true}
	}
	if reason := p.lead.mayNegotiate(e, now); reason != "" {
		return inTime(reason)
	}
	switch {
	case !speaks:
		return inTime("IPsec is being set up")
	case !up:
		return inTime(deaf(e))
	}
	return hurdle{}
}

// deaf says of an end whose BFD is not up where to look. One in the state "init" hears the other, which does not hear
// it (RFC 5880, section 6.2).
func deaf(e linkEnd) string {
	what := "hears nothing from the other end by IPsec"
	if e.bfd == "init" {
		what = "is not heard at the other end by IPsec"
	}
	return what + ": see that openvswitch-ipsec and its IKE daemon run on both hosts (ovs-appctl -t ovs-monitor-ipsec tunnels/show), and that UDP 500, 4500 " +
		"and ESP pass between them; after a failed negotiation Linux tries again within net.core.xfrm_acq_expires seconds"
}

// prove sends probes both ways through tunnels that are guarded, and says of each what came of it.
func (p *protection) prove(ctx context.Context, open []proof) []error {
	out := make([]error, len(open))
	var wg sync.WaitGroup
	for i, q := range open {
		wg.Go(func() {
			var there, back error
			var both sync.WaitGroup
			both.Go(func() { there = p.lead.probe(ctx, q.a, q.b, proofProbe) })
			both.Go(func() { back = p.lead.probe(ctx, q.b, q.a, proofProbe) })
			both.Wait()
			if err := errors.Join(there, back); err != nil {
				out[i] = errUnproved
				if !errors.Is(err, errProbeLost) {
					out[i] = err
				}
			}
		})
	}
	wg.Wait()
	return out
}

// errUnproved: probes do not pass while nothing can pass in clear.
var errUnproved = errors.New("no probe has passed while nothing can pass in clear")

// unprotected says of a host's part in an encrypted network which tunnel is not proved to be protected, and why.
func (c *Controller) unprotected(v *raftstore.View, ms membership) string {
	l := c.current.Load()
	for _, peer := range ms.peers() {
		if l == nil || mayForward(v, ms.network, ms.host, peer.Host.GetUuid()) {
			continue
		}
		reason := l.protection.hurdle(link{pairOf(ms.host, peer.Host.GetUuid()), ms.conduit}).reason
		return fmt.Sprintf("nothing passes to or from %s: %s", peer.Host.GetNameLabel(), cmp.Or(reason, "IPsec is being set up"))
	}
	return ""
}
