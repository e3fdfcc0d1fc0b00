package controller

import (
	"context"
	"sync"

	"google.golang.org/protobuf/proto"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// deniedBuffer is how many samples wait for a subscriber that reads slowly.
const deniedBuffer = 256

// deniedHub hands samples of denied packets to whoever watches. It never waits.
type deniedHub struct {
	mu   sync.Mutex
	subs map[*deniedWatch]struct{} // guarded by mu
}

// deniedWatch is one subscriber.
type deniedWatch struct {
	ch chan *poolwirev1.WatchDeniedResponse
	// lost counts what did not fit since the last sample that did; guarded by the hub's mu.
	lost uint64
}

func newDeniedHub() *deniedHub { return &deniedHub{subs: map[*deniedWatch]struct{}{}} }

// watched reports whether anybody watches.
func (h *deniedHub) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs) > 0
}

// publish gives every subscriber a copy of a sample, or counts it as lost.
func (h *deniedHub) publish(m *poolwirev1.WatchDeniedResponse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.subs {
		own := proto.CloneOf(m)
		own.Lost = w.lost
		select {
		case w.ch <- own:
			w.lost = 0
		default:
			w.lost++
		}
	}
}

// watch subscribes until ctx or until ends; then the channel is closed.
func (h *deniedHub) watch(ctx, until context.Context) <-chan *poolwirev1.WatchDeniedResponse {
	w := &deniedWatch{ch: make(chan *poolwirev1.WatchDeniedResponse, deniedBuffer)}
	h.mu.Lock()
	h.subs[w] = struct{}{}
	h.mu.Unlock()
	go func() {
		select {
		case <-ctx.Done():
		case <-until.Done():
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, w)
		close(w.ch)
	}()
	return w.ch
}

// WatchDenied returns samples of the packets that rules deny on the hosts of this
// leader, until ctx or the leadership ends: the channel is then closed. Whoever reads
// too slowly loses samples, and the next one says how many (lost). rule_text is left
// empty. ErrNotLeading when this node does not lead.
func (c *Controller) WatchDenied(ctx context.Context) (<-chan *poolwirev1.WatchDeniedResponse, error) {
	l := c.current.Load()
	if l == nil || l.ctx.Err() != nil {
		return nil, ErrNotLeading
	}
	return l.denied.watch(ctx, l.ctx), nil
}
