package controller

import (
	"context"
	"time"

	"poolwire/southbound/ovsdb"
)

// Pauses between attempts to have a switch set up ports that it could not; each is twice
// the one before. The first attempt comes at once.
const leastPortRetry, mostPortRetry = time.Second, time.Minute

// portRetry says when a switch is asked to go over its configuration again.
type portRetry struct {
	timer *time.Timer
	pause time.Duration // until the attempt after the next; 0 while all ports are there
}

func newPortRetry() *portRetry {
	t := time.NewTimer(0)
	t.Stop()
	return &portRetry{timer: t}
}

// look notes whether ports could not be set up. An attempt that is due already stays so.
func (r *portRetry) look(unmade bool) {
	switch {
	case !unmade:
		r.timer.Stop()
		r.pause = 0
	case r.pause == 0:
		r.timer.Reset(0)
		r.pause = leastPortRetry
	}
}

// attempted begins the pause before the next attempt.
func (r *portRetry) attempted() {
	r.timer.Reset(r.pause)
	r.pause = min(2*r.pause, mostPortRetry)
}

// retryPorts has the switch try again what it could not set up.
func (s *hostSession) retryPorts(ctx context.Context) error {
	snapshot := s.db.Snapshot()
	unmade := ovsdb.Unmade(snapshot, s.lead.cluster)
	if len(unmade) == 0 {
		s.retry.look(false)
		return nil
	}
	s.log.Info("ports could not be set up, trying again", "ports", unmade)
	s.retry.attempted()
	return s.transact(ctx, ovsdb.Reconfigure(snapshot, s.lead.cluster, s.lead.epoch))
}
