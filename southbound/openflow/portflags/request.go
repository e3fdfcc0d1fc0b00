package portflags

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// maxAnswers bounds the answers to one request: an error each, and the last reply.
const maxAnswers = 8

// Ports reads all ports, the bridge's own one included.
func (s *Session) Ports(ctx context.Context) ([]Port, error) {
	var ports []Port
	err := s.ask(ctx, func(xid uint32) []byte { return encode(typeFeaturesRequest, xid) }, func(m message) (bool, error) {
		if m.kind != typeFeaturesReply {
			return false, nil
		}
		var err error
		_, ports, err = decodeFeatures(m.body)
		return true, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading ports: %w", err)
	}
	return ports, nil
}

// ErrNotSet says that the switch took the change of a flag without an error, and has it
// otherwise all the same.
var ErrNotSet = errors.New("portflags: the switch did not take the flag")

// SetNoFlood says whether NORMAL leaves a port out when it floods, and returns when the
// switch has it so. The switch checks number and MAC address against its own, so a port
// that was replaced meanwhile is refused with a *SwitchError.
func (s *Session) SetNoFlood(ctx context.Context, p Port, set bool) error {
	err := s.ask(ctx, func(xid uint32) []byte {
		return append(portMod(xid, p, set), encode(typeBarrierRequest, xid)...)
	}, func(m message) (bool, error) { return m.kind == typeBarrierReply, nil })
	if err != nil {
		return fmt.Errorf("setting NO_FLOOD of port %d: %w", p.Number, err)
	}
	ports, err := s.Ports(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(ports, func(q Port) bool { return q.Number == p.Number && q.MAC == p.MAC })
	if at < 0 || ports[at].NoFlood != set {
		return fmt.Errorf("%w: NO_FLOOD of port %d", ErrNotSet, p.Number)
	}
	return nil
}

// ask sends what build makes for a transaction id and waits until done says that the
// answer is complete. An error of the switch is the answer.
func (s *Session) ask(ctx context.Context, build func(xid uint32) []byte, done func(message) (bool, error)) error {
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return s.Err()
	}
	xid, answers := s.expect()
	defer s.expectNothing()
	if err := s.send(build(xid)); err != nil {
		s.fail(err)
		return err
	}
	for {
		select {
		case m := <-answers:
			if m.xid != xid {
				continue
			}
			if m.kind == typeError {
				return decodeError(m.body)
			}
			if complete, err := done(m); complete || err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return s.Err()
		}
	}
}

// expect returns a new transaction id, and the channel on which its answers arrive.
func (s *Session) expect() (uint32, <-chan message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nextXid++; s.nextXid == 0 {
		s.nextXid = 16
	}
	s.first, s.answers = s.nextXid, make(chan message, maxAnswers)
	return s.nextXid, s.answers
}

func (s *Session) expectNothing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = nil
}
