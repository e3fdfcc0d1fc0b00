package lab

import (
	"context"
	"errors"
	"fmt"
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

// Await repeats a look, as often as pause says, until it succeeds. When ctx ends before, the
// error has the last miss in it.
func Await(ctx context.Context, pause time.Duration, what string, look func() error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}
