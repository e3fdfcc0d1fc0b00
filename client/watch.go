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
//   - OutOfRange: no node's history reaches back to the revision any more, and every one has
//     said so: one that does not answer may have it, and is asked until it does. List again,
//     then watch from the list's revision.
//   - io.EOF: the node has no more to say. Poolwire's own nodes never end a watch so.
//   - other codes that another node or another attempt would not change.
func (c *Client) Watch(ctx context.Context, req *poolwirev1.WatchRequest, changed func(*poolwirev1.WatchResponse) error) error {
	w := &watcher{
		client: c, req: req, reached: req.GetFromRevision(), begun: req.GetFromRevision() != 0, changed: changed,
		at: int(c.preferred.Load()), forgot: map[int]bool{},
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		progress, err := w.follow(ctx)
		var own callerError
		if errors.As(err, &own) {
			return own.error
		}
		forgotten := status.Code(err) == codes.OutOfRange
		if forgotten {
			w.forgot[w.at] = true
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !w.heard && attempt == c.cfg.Rounds*len(c.conns), len(w.forgot) == len(c.conns):
			return atTheDoor(err)
		case forgotten:
			w.next()
			continue
		case !resumable(err):
			return err
		}
		if progress {
			pause = firstPause
		}
		w.next()
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
	// at is the index of the node that is followed. It is the watch's own: other calls of the
	// client, which go elsewhere meanwhile, must not send it back to a node that was asked.
	at int
	// forgot has the nodes that have said that their history does not reach back to reached.
	// Histories only become shorter: none of them is asked again before the watch has got on.
	forgot map[int]bool
	// heard says that a node has answered.
	heard bool
}

// follow reads one stream to its end, and says whether it has brought anything.
func (w *watcher) follow(ctx context.Context) (progress bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := &poolwirev1.WatchRequest{FromRevision: w.reached, Kinds: w.req.GetKinds()}
	stream, err := poolwirev1.NewWatchServiceClient(w.client.conns[w.at]).Watch(ctx, req)
	if err != nil {
		return false, err
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return progress, err
		}
		progress, w.heard = true, true
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
	if r.GetRevision() > w.reached {
		clear(w.forgot)
	}
	w.reached, w.begun = r.GetRevision(), true
	return w.changed(r)
}

// next goes on to the next node that may have the history.
func (w *watcher) next() {
	for range w.client.conns {
		if w.at = (w.at + 1) % len(w.client.conns); !w.forgot[w.at] {
			return
		}
	}
}

// callerError is an error of the caller's own function.
type callerError struct{ error }

func resumable(err error) bool {
	if errors.Is(err, io.EOF) {
		return false
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Unknown, codes.Internal, codes.Canceled:
		return true
	}
	return false
}
