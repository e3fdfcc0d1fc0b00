package simhost

import (
	"context"
	"time"
)

// The pauses of Open vSwitch's daemons between two attempts (lib/rconn.c, lib/reconnect.c), which double from one to
// the other. An attempt may take as long as the pause before it.
const (
	firstPause = time.Second
	lastPause  = 8 * time.Second
)

// redial makes a connection again and again until ctx ends. attempt has so long to make one, serves it, and tells whether it
// came up.
func redial(ctx context.Context, attempt func(patience time.Duration) (up bool)) {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		up := attempt(max(pause, firstPause))
		if up && time.Since(began) > pause {
			pause = 0
		}
		pause = min(max(2*pause, firstPause), lastPause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}
