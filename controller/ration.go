package controller

import (
	"context"
	"time"
)

// A host may report this much at once, and then one change per interval: a host
// whose rows never rest must not fill the log of the cluster.
const (
	rationBurst    = 64
	rationInterval = 100 * time.Millisecond
)

// ration bounds how often something is done, by one goroutine. The zero value has
// everything left.
type ration struct {
	used  int
	since time.Time // what was used before has come back up to here
}

// wait takes one from the ration, and waits for it when none is left.
func (r *ration) wait(ctx context.Context) error {
	now := time.Now()
	back := int(now.Sub(r.since) / rationInterval)
	if back >= r.used {
		r.used, r.since = 0, now
	} else {
		r.used -= back
		r.since = r.since.Add(time.Duration(back) * rationInterval)
	}
	r.used++
	if r.used <= rationBurst {
		return nil
	}
	timer := time.NewTimer(time.Until(r.since.Add(rationInterval)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
