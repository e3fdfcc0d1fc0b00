package portflags

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxAnswers bounds the messages of an answer that wait to be looked at.
const maxAnswers = 64

// Ports reads all ports, the bridge's own one included.
func (s *Session) Ports(ctx context.Context) ([]Port, error) {
	var ports []Port
	err := s.ask(ctx, portRequest, func(m message) (bool, error) {
		if m.kind != typeStatsReply {
			return false, nil
		}
		part, more, err := decodePorts(m.body)
		if ports = append(ports, part...); err == nil && len(ports) > maxPorts {
			err = fmt.Errorf("%w: more than %d ports", ErrProtocol, maxPorts)
		}
		return !more, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading ports: %w", err)
	}
	return ports, nil
}

// ErrNotSet means that the switch took the change of a flag without an error, and has it
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
// answer is complete. An error of the switch is the answer. A peer that breaks the
// protocol, or does not answer, loses the session.
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
		return s.Err()
	}
	stuck := time.NewTimer(replyTimeout)
	defer stuck.Stop()
	for {
		select {
		case m := <-answers:
			complete, err := s.take(m, done)
			if complete || err != nil {
				return err
			}
		case <-stuck.C:
			s.fail(ErrReplyTimeout)
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return s.Err()
		}
	}
}

// take gives one message of an answer to done.
func (s *Session) take(m message, done func(message) (bool, error)) (complete bool, err error) {
	if m.kind == typeError {
		err = decodeError(m.body)
	} else {
		complete, err = done(m)
	}
	if errors.Is(err, ErrProtocol) {
		s.fail(err)
	}
	return complete, err
}

// expect returns a new transaction id, and the channel on which its answers arrive.
func (s *Session) expect() (uint32, <-chan message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nextXid++; s.nextXid < firstXid {
		s.nextXid = firstXid
	}
	s.asked, s.answers = s.nextXid, make(chan message, maxAnswers)
	return s.asked, s.answers
}

func (s *Session) expectNothing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = nil
}
