package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// call is a request that waits for its reply.
type call struct {
	done chan *reply
	// inline runs in the reader, before any later message is looked at.
	inline func(*reply) error
}

// call sends a request and waits for the reply's result. An error reply is a
// *RPCError and the session goes on; so it does when ctx ends first.
func (s *Session) call(ctx context.Context, method string, params any, inline func(*reply) error) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Deadline)
	defer cancel()
	c := &call{done: make(chan *reply, 1), inline: inline}
	id, err := s.register(c)
	if err != nil {
		return nil, err
	}
	defer s.forget(id)
	if err := s.write(request{Method: method, Params: params, ID: id}); err != nil {
		return nil, err
	}
	select {
	case r := <-c.done:
		return r.outcome(method)
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the answer to %s: %w", method, ctx.Err())
	case <-s.done:
	}
	// The session may have ended right after the answer came.
	select {
	case r := <-c.done:
		return r.outcome(method)
	default:
		return nil, s.Err()
	}
}

func (r *reply) outcome(method string) (json.RawMessage, error) {
	if !isNull(r.error) {
		return nil, &RPCError{Method: method, Text: errorText(r.error)}
	}
	return r.result, nil
}

func (s *Session) register(c *call) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.lastID++
	s.pending[s.lastID] = c
	return s.lastID, nil
}

func (s *Session) forget(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, id)
}

// write sends one message. A write that fails may have sent a part of it, so it
// ends the session.
func (s *Session) write(m any) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding an ovsdb message: %w", err)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err = s.conn.SetWriteDeadline(time.Now().Add(s.cfg.Deadline)); err == nil {
		_, err = s.conn.Write(text)
	}
	if err != nil {
		s.shutdown(fmt.Errorf("writing to the host: %w", err))
		return s.Err()
	}
	return nil
}

// heardReader notes when bytes come in.
type heardReader struct{ s *Session }

func (h heardReader) Read(p []byte) (int, error) {
	n, err := h.s.conn.Read(p)
	if n > 0 {
		h.s.heard.Store(int64(time.Since(h.s.began)))
		if excess := h.s.afford(n); excess != nil {
			return 0, excess
		}
	}
	return n, err
}

// read handles messages in the order in which they come, until the session ends.
func (s *Session) read() {
	defer s.running.Done()
	defer s.vacate()
	for {
		text, err := s.frames.next()
		if err == nil {
			err = s.handle(text)
		}
		if err == nil {
			err = s.occupy(0)
		}
		if err != nil {
			s.readFailed(err)
			return
		}
	}
}

func (s *Session) readFailed(err error) {
	var hostile *ProtocolError
	if errors.As(err, &hostile) {
		s.cfg.Log.Warn("ovsdb peer misbehaves", "remote", s.conn.RemoteAddr(), "error", err)
	} else {
		err = fmt.Errorf("reading from the host: %w", err)
	}
	s.shutdown(err)
}

func (s *Session) handle(text []byte) error {
	m, err := parseMessage(text)
	switch {
	case err != nil:
		return err
	case m.reply != nil:
		return s.deliver(m.reply)
	case m.echo != nil:
		params := m.echo.params
		if isNull(params) {
			params = json.RawMessage("[]")
		}
		return s.write(response{Result: params, ID: m.echo.id})
	case m.update != nil:
		if err := s.apply(m.update); err != nil {
			return err
		}
		if m.update.id != nil {
			return s.write(response{Result: []any{}, ID: m.update.id})
		}
	}
	return nil
}

// deliver hands a reply to the one who waits for it. One that nobody waits for
// any more is dropped; one that nobody ever asked for is a violation.
func (s *Session) deliver(r *reply) error {
	s.mu.Lock()
	c := s.pending[r.id]
	delete(s.pending, r.id)
	last := s.lastID
	s.mu.Unlock()
	if c == nil {
		if r.id == 0 || r.id > last {
			return violation("reply to request %d, which was not sent", r.id)
		}
		return nil
	}
	if c.inline != nil && isNull(r.error) {
		if err := c.inline(r); err != nil {
			return err
		}
	}
	c.done <- r
	return nil
}

// apply changes the rows and announces it.
func (s *Session) apply(u *update) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil {
		return violation("update before anything was monitored")
	}
	changed, err := s.store.apply(u.tables, u.format)
	s.weight.Store(int64(s.store.weight))
	if err != nil || !changed {
		return err
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

// keepAlive asks a silent peer for an echo and gives up on one that stays silent.
func (s *Session) keepAlive() {
	defer s.running.Done()
	ticker := time.NewTicker(s.cfg.EchoInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-ticker.C:
		}
		idle := time.Since(s.began) - time.Duration(s.heard.Load())
		switch {
		case idle >= silentIntervals*s.cfg.EchoInterval:
			s.shutdown(fmt.Errorf("%w: silent for %s", ErrInactive, idle.Round(time.Millisecond)))
			return
		case idle >= s.cfg.EchoInterval:
			if s.write(request{Method: methodEcho, Params: []any{}, ID: echoID}) != nil {
				return
			}
		}
	}
}
