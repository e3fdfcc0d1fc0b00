package openflow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"poolwire/southbound/openflow/flow"
)

var (
	// ErrStaleGeneration means that the switch has seen a newer generation id; this controller has been replaced (OFPRRFC_STALE, section 6.3.5).
	ErrStaleGeneration = errors.New("openflow: a newer generation id holds the switch")
	// ErrSlave means that the connection has the slave role and may not change the switch (OFPBRC_IS_SLAVE).
	ErrSlave = errors.New("openflow: the connection has the slave role")
	// ErrUnknownOutcome means that the connection ended, or the caller gave up, after the change was sent and before it was
	// confirmed. It may or may not be in place: read the switch before doing anything else.
	ErrUnknownOutcome = errors.New("openflow: outcome unknown")
	// ErrNotSynchronised means that [Sync.Incremental] was called without a successful [Sync.Full] on the same Switch since the last failure.
	ErrNotSynchronised = errors.New("openflow: the flows of the switch are not known")
	// ErrFlowTooLarge means that the flow does not fit one OpenFlow message (64 KiB).
	ErrFlowTooLarge = errors.New("openflow: flow does not fit one message")
	// ErrClosed means that the connection was closed by this side without a reason of its own.
	ErrClosed = errors.New("openflow: connection closed")
	// ErrEchoTimeout means that nothing was received for three echo intervals.
	ErrEchoTimeout = errors.New("openflow: peer is silent")
	// ErrReplyTimeout means that the peer is alive but did not answer a request in [ConnConfig.ReplyTimeout].
	ErrReplyTimeout = errors.New("openflow: request was never answered")
	// ErrFlooded means that the peer makes us answer but does not read the answers.
	ErrFlooded = errors.New("openflow: peer does not read the replies it asks for")
	// ErrReplyTooLarge means that a reply in parts exceeds [ConnConfig.MaxReply] bytes.
	ErrReplyTooLarge = errors.New("openflow: reply too large")
	// ErrVersion means that the peer does not speak OpenFlow 1.3.
	ErrVersion = errors.New("openflow: peer does not offer OpenFlow 1.3")
)

// ProtocolError says how the peer broke the protocol. It always ends the connection.
type ProtocolError struct{ Reason string }

// Error implements error.
func (e *ProtocolError) Error() string { return "openflow: protocol error: " + e.Reason }

func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Reason: fmt.Sprintf(format, args...)}
}

// errorTypeExperimenter marks an error whose meaning is in (Experimenter, Code): OFPET_EXPERIMENTER.
const errorTypeExperimenter uint16 = 0xffff

// SwitchError is an OFPT_ERROR the switch sent in answer to a request (section 7.4.4).
type SwitchError struct {
	// Type is the OFPET_* class. 0xffff: an error of the organisation in Experimenter.
	Type uint16
	// Code is the reason within the class; the exp_type when Type is 0xffff.
	Code uint16
	// Experimenter is the organisation id when Type is 0xffff, else 0.
	Experimenter uint32
	// Text is what the switch added in words (OFPET_HELLO_FAILED only).
	Text string
}

// Error implements error.
func (e *SwitchError) Error() string {
	s := "openflow: switch answered " + e.Name()
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Is lets errors.Is find the sentinels that stand for one particular answer.
func (e *SwitchError) Is(target error) bool {
	switch target {
	case ErrStaleGeneration:
		return e.Type == 11 && e.Code == 0
	case ErrSlave:
		return e.Type == 1 && e.Code == 10
	}
	return false
}

// unknownMessage tells whether the switch does not know the kind of message at
// all: OFPBRC_BAD_TYPE, BAD_EXPERIMENTER or BAD_EXP_TYPE. Other bad requests say
// nothing about what it knows; a slave is refused everything.
func (e *SwitchError) unknownMessage() bool {
	return e.Type == 1 && (e.Code == 1 || e.Code == 3 || e.Code == 4)
}

// FlowError names the flow that a switch refused.
type FlowError struct {
	SwitchError
	// Flow is the first flow refused.
	Flow flow.Flow
	// Command is what was asked for it.
	Command flow.Command
	// Others counts further flows of the same batch that were refused too.
	Others int
	// Applied reports whether other flows of the batch may be in place: true
	// only on switches without bundles.
	Applied bool
}

// Error implements error.
func (e *FlowError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "openflow: switch refused to %s flow %q: %s", commandName(e.Command), e.Flow.String(), e.Name())
	if e.Others > 0 {
		fmt.Fprintf(&b, " (and %d more)", e.Others)
	}
	return b.String()
}

// Unwrap gives the plain answer of the switch.
func (e *FlowError) Unwrap() error { return &e.SwitchError }

func commandName(c flow.Command) string {
	switch c {
	case flow.Add:
		return "add"
	case flow.Modify, flow.ModifyStrict:
		return "modify"
	default:
		return "delete"
	}
}

// decodeError reads the body of an OFPT_ERROR (section 7.4.4).
func decodeError(body []byte) (*SwitchError, error) {
	if len(body) < 4 {
		return nil, protocolErrorf("error message of %d bytes", headerLen+len(body))
	}
	e := &SwitchError{Type: binary.BigEndian.Uint16(body), Code: binary.BigEndian.Uint16(body[2:])}
	switch e.Type {
	case errorTypeExperimenter:
		if len(body) < 8 {
			return nil, protocolErrorf("experimenter error message of %d bytes", headerLen+len(body))
		}
		e.Experimenter = binary.BigEndian.Uint32(body[4:])
	case 0:
		e.Text = printable(body[4:], 128)
	}
	return e, nil
}

// printable keeps the ASCII of at most limit bytes that came from the network.
func printable(b []byte, limit int) string {
	if len(b) > limit {
		b = b[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b))
}
