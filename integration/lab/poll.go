package lab

import (
	"context"
	"time"
)

// pollInterval is how often facts are looked at that announce themselves in no
// way: files, other processes' locks, links.
const pollInterval = 5 * time.Millisecond

// poll looks at done until it is true or fails or ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
