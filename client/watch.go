package client

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Watch calls changed for every revision after req's from_revision that changed a resource of
// the kinds asked for, in order and each once, whatever happens to single nodes: a watch that
// breaks goes on after the revision it has reached, on any node. Messages without changes say
// how far the watch has got; the first says where it starts. It ends with ctx, with an error
// of changed, when no node has ever answered in as many attempts as [Config].Rounds says, or
// when no node can go on:
//
//   - OutOfRange: no node's history reaches back to the revision any more. List again, then
//     watch from the list's revision.
//   - io.EOF: the node has no more to say. Poolwire's own nodes never end a watch so.
//   - other codes that another node or another attempt would not change.
func (c *Client) Watch(ctx context.Context, req *poolwirev1.WatchRequest, changed func(*poolwirev1.WatchResponse) error) error {
	w := &watcher{client: c, req: req, reached: req.GetFromRevision(), begun: req.GetFromRevision() != 0, changed: changed}
	pause := firstPause
	forgotten := 0 // answers in a row that the history is gone
	for attempt, heard := 1, false; ; attempt++ {
		progress, err := w.follow(ctx)
		if heard = heard || progress; progress {
			forgotten = 0
		}
		// A node that was restarted has less of a history than others.
		if status.Code(err) == codes.OutOfRange {
			forgotten++
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !heard && attempt == c.cfg.Rounds*len(c.conns):
			return err
		case status.Code(err) == codes.OutOfRange && forgotten < len(c.conns):
			c.next()
			continue
		case !resumable(err):
			var own callerError
			if errors.As(err, &own) {
				return own.error
			}
			return err
		}
		if progress {
			pause = firstPause
		}
		c.next()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause + rand.N(pause/2)):
		}
		pause = min(2*pause, lastPause)
	}
}

// watcher is one watch over several streams.
type watcher struct {
	client *Client
	req    *poolwirev1.WatchRequest
	// reached is the revision up to which changes have been handed out; begun says that it
	// is known.
	reached uint64
	begun   bool
	changed func(*poolwirev1.WatchResponse) error
}

// follow reads one stream to its end, and says whether it has brought anything.
func (w *watcher) follow(ctx context.Context) (progress bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := &poolwirev1.WatchRequest{FromRevision: w.reached, Kinds: w.req.GetKinds()}
	stream, err := poolwirev1.NewWatchServiceClient(w.client).Watch(ctx, req)
	if err != nil {
		return false, err
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return progress, err
		}
		progress = true
		if err := w.take(r); err != nil {
			return progress, callerError{err}
		}
	}
}

// take hands a message out unless it was before. A node that is behind starts before what has
// been reached, and says so.
func (w *watcher) take(r *poolwirev1.WatchResponse) error {
	if w.begun && r.GetRevision() <= w.reached && (len(r.GetChanges()) > 0 || r.GetRevision() < w.reached) {
		return nil
	}
	w.reached, w.begun = r.GetRevision(), true
	return w.changed(r)
}

// callerError is an error of the caller's own function.
type callerError struct{ error }

// Unwrap returns the caller's error.
func (e callerError) Unwrap() error { return e.error }

func resumable(err error) bool {
	if errors.As(err, new(callerError)) || errors.Is(err, io.EOF) {
		return false
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Unknown, codes.Internal, codes.Canceled:
		return true
	}
	return false
}

// next prefers another node than the one that failed.
func (c *Client) next() {
	at := c.preferred.Load()
	c.preferred.CompareAndSwap(at, (at+1)%int64(len(c.conns)))
}
