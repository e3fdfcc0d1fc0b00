package scale

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"poolwire/integration/lab"
)

// errTouched says that switches were written to although nothing had changed.
var errTouched = errors.New("flows were changed although nothing had to be")

// kills kills the leader a few times, and measures until the next one is master everywhere.
func (r *run) kills(ctx context.Context) error {
	var took []time.Duration
	for range r.cfg.Kills {
		leader, err := r.cluster.leader(ctx)
		if err != nil {
			return err
		}
		mods, generation := r.fleet.FlowMods(), r.fleet.Generation()
		leader.kill()
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, patience)
		err = r.mastered(limited, r.cfg.Hosts, generation+1)
		cancel()
		if err != nil {
			return err
		}
		took = append(took, time.Since(began))
		if err := r.settled(ctx, r.cfg.Hosts, generation+1); err != nil {
			return err
		}
		r.figures.Settled = max(r.figures.Settled, time.Since(began))
		r.cfg.Log("leader killed: mastered after %v, all confirmed after %v", took[len(took)-1], time.Since(began))
		if n := r.fleet.FlowMods() - mods; n != 0 {
			return fmt.Errorf("leader killed: %d flow mods: %w", n, errTouched)
		}
		if err := leader.start(); err != nil {
			return err
		}
		if err := r.awaitWhole(ctx); err != nil {
			return err
		}
	}
	r.figures.Takeover = timesOf(took)
	return nil
}

// awaitWhole waits until all nodes vote, and have sessions with all hosts.
func (r *run) awaitWhole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := r.cluster.awaitVoters(ctx); err != nil {
		return err
	}
	return lab.Await(ctx, readEvery, "sessions with all nodes", func() error {
		for _, n := range r.cluster.nodes {
			m, err := n.metrics(ctx)
			if err != nil {
				return err
			}
			for _, kind := range []string{"openflow", "portflags"} {
				if have := int(m[fmt.Sprintf("poolwire_sessions{protocol=%q}", kind)]); have < r.cfg.Hosts {
					return fmt.Errorf("%s has %d %s sessions", n.id, have, kind)
				}
			}
		}
		return nil
	})
}

// restart kills all nodes at once, starts them again, and measures until all is as before.
func (r *run) restart(ctx context.Context) error {
	mods, generation := r.fleet.FlowMods(), r.fleet.Generation()
	for _, n := range r.cluster.nodes {
		n.kill()
	}
	r.fleet.Count()
	began := time.Now()
	for _, n := range r.cluster.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	watched, stop := context.WithCancel(ctx)
	peaks := make(chan Peaks, 1)
	go func() { peaks <- r.watchPeaks(watched) }()
	err := func() error {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := r.mastered(limited, r.cfg.Hosts, generation+1); err != nil {
			return err
		}
		r.figures.RestartMastered = time.Since(began)
		if err := r.settled(ctx, r.cfg.Hosts, generation+1); err != nil {
			return err
		}
		r.figures.RestartSettled = time.Since(began)
		if err := r.awaitWhole(ctx); err != nil {
			return err
		}
		r.figures.RestartWhole = time.Since(began)
		return nil
	}()
	stop()
	r.figures.RestartPeaks, r.figures.RestartBy = <-peaks, r.fleet.Count()
	if err != nil {
		return err
	}
	if err := r.smooth(); err != nil {
		return fmt.Errorf("all killed: %w", err)
	}
	r.cfg.Log("all killed: mastered after %v, confirmed after %v, all sessions after %v", r.figures.RestartMastered, r.figures.RestartSettled, r.figures.RestartWhole)
	if r.figures.RestartMods = r.fleet.FlowMods() - mods; r.figures.RestartMods != 0 {
		return fmt.Errorf("all killed: %d flow mods: %w", r.figures.RestartMods, errTouched)
	}
	return nil
}

// attemptsPerHost bounds how often a host's switch tries in vain while a node comes up and sees to the others.
const attemptsPerHost = 60

// smooth holds the herd that came back after a restart to the bounds there are for it.
func (r *run) smooth() error {
	p, by := r.figures.RestartPeaks, r.figures.RestartBy
	// A host has one database, and one bridge with two connections to a node; and one that it has given up is counted until
	// the node finds out, when there may be another one in its place.
	const connections = 2 * 3
	places := max(1, runtime.NumCPU()-1)
	switch {
	case p.Running < 1 || p.Running > places:
		return fmt.Errorf("%d connections were set up at once on a node with %d places", p.Running, places)
	case p.Waiting > connections*r.cfg.Hosts:
		return fmt.Errorf("%d connections of %d hosts waited for a node", p.Waiting, r.cfg.Hosts)
	case by.Failed > attemptsPerHost*r.cfg.Hosts:
		return fmt.Errorf("switches of %d hosts tried %d times in vain", r.cfg.Hosts, by.Failed)
	}
	return nil
}
