package cli

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Bounds of the wait before a change is tried again.
const (
	firstPause   = 5 * time.Millisecond
	longestPause = 200 * time.Millisecond
)

// edited makes a change that is based on what it has read, reading included, and makes
// it again for as long as others change the same resource in between: of any number of
// them one gets through each time.
func edited(ctx context.Context, change func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := change()
		if status.Code(err) != codes.Aborted {
			return err
		}
		select {
		case <-ctx.Done():
			return status.Error(codes.Aborted, "others keep changing it: nothing was changed, try again")
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// versioned is a resource that tells its versions apart.
type versioned interface{ GetEtag() string }

// unchanged is what came of a change that made no difference.
const unchanged = "is as it was: nothing was changed"

// did says what came of a change: the stored resource is another version of the one
// before, or the same.
func did(before string, after versioned) string {
	if before != "" && before == after.GetEtag() {
		return unchanged
	}
	return "changed"
}
