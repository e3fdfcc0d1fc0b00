package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Pauses between rounds over all nodes: the first, doubling up to the last, each made up to
// half longer at random so that clients do not come together.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// Invoke makes a unary call (grpc.ClientConnInterface). It goes from node to node until one
// answers, ctx ends, or all have been asked as often as [Config].Rounds says.
//
// Errors are gRPC statuses, of the last attempt. Unavailable means that no node could answer. Unauthenticated with the reason
// [ReasonRefused] or [ReasonUntrusted] means that a certificate stood in the way, and that nothing was done.
// A change that any of the attempts may have made says so in google.rpc.ErrorInfo, domain
// poolwire, reason OUTCOME_UNKNOWN: read it, or repeat the call with the request_id it had,
// which the caller knows when it gave one. Unavailable, DeadlineExceeded and Canceled without
// that reason say that nothing was done; Internal and Unknown, which are defects, do not say.
// Reads and calls with validate_only never have it.
func (c *Client) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	args, safe := c.repeatable(method, args)
	unknown := false
	err := c.rounds(ctx, func(ctx context.Context, conn *grpc.ClientConn) (again bool, err error) {
		attempt, cancel := c.bound(ctx, args)
		defer cancel()
		var at peer.Peer
		err = conn.Invoke(attempt, method, args, reply, append(slices.Clip(opts), grpc.Peer(&at))...)
		// A call has a peer once it was given to a connection. Before, nothing was sent.
		sent := at.Addr != nil
		// The request is looked at now: an interceptor may have made a trial of it.
		unknown = unknown || sent && leavesOpen(err) && changes(method, args)
		return tryNext(ctx, err, safe || !sent), err
	})
	if unknown {
		return unknownOutcome(err)
	}
	return err
}

// NewStream begins a stream (grpc.ClientConnInterface) on the first node that takes it. A
// stream that has begun is not begun again: what it has said is the caller's to judge.
func (c *Client) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	var out grpc.ClientStream
	err := c.rounds(ctx, func(ctx context.Context, conn *grpc.ClientConn) (again bool, err error) {
		out, err = conn.NewStream(ctx, desc, method, opts...)
		return tryNext(ctx, err, true), err
	})
	return out, err
}

// unboundedRounds is how often all nodes are asked by a call that has no deadline.
const unboundedRounds = 3

// rounds tries one node after the other, the one that answered last first.
func (c *Client) rounds(ctx context.Context, try func(context.Context, *grpc.ClientConn) (again bool, err error)) error {
	first, pause := int(c.preferred.Load()), firstPause
	rounds := c.cfg.Rounds
	if _, bounded := ctx.Deadline(); rounds == 0 && !bounded {
		rounds = unboundedRounds
	}
	for round := 1; ; round++ {
		var err error
		for i := range c.conns {
			at := (first + i) % len(c.conns)
			again, said := try(ctx, c.conns[at])
			if !again {
				if said == nil || status.Code(said) != codes.Unavailable {
					c.preferred.Store(int64(at))
				}
				return atTheDoor(said)
			}
			err = weightier(err, atTheDoor(said))
		}
		if round == rounds {
			return err
		}
		select {
		case <-ctx.Done():
			return lastWord(ctx, err)
		case <-time.After(pause + rand.N(pause/2)):
		}
		pause = min(2*pause, lastPause)
	}
}

// lastWord is the error of a call whose time ended between two attempts.
func lastWord(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return status.FromContextError(ctx.Err()).Err()
	}
	return err
}

// bound gives an attempt its time. A call whose request has a timeout of its own waits for
// something on purpose.
func (c *Client) bound(ctx context.Context, args any) (context.Context, context.CancelFunc) {
	if m, ok := args.(proto.Message); ok && m.ProtoReflect().Descriptor().Fields().ByName("timeout") != nil || len(c.conns) == 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.cfg.Attempt)
}

// tryNext says whether another node may know better. safe calls do nothing, or nothing twice, or
// were not sent.
func tryNext(ctx context.Context, err error, safe bool) bool {
	switch {
	case err == nil, ctx.Err() != nil:
		return false
	case didNothing(err):
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return safe
	}
	return false
}

// requestID is the field that makes a change happen once.
const requestID protoreflect.Name = "request_id"

// repeatable returns the request as it can be sent to several nodes one after the other, and
// whether it can: a change needs a request id, which it is given where it has a place for one.
func (c *Client) repeatable(method string, args any) (any, bool) {
	m, ok := args.(proto.Message)
	if !ok {
		return args, false
	}
	field := m.ProtoReflect().Descriptor().Fields().ByName(requestID)
	switch {
	case field == nil:
		return args, reads(method)
	case m.ProtoReflect().Get(field).String() != "":
		return args, true
	}
	m = proto.Clone(m)
	m.ProtoReflect().Set(field, protoreflect.ValueOfString(c.newID()))
	return m, true
}

// reads says whether a method changes nothing, by its verb.
func reads(method string) bool {
	name := method[strings.LastIndex(method, "/")+1:]
	return slices.ContainsFunc([]string{"Get", "List", "Read", "Describe", "Explain", "WaitFor", "Watch", "Dump", "WhoAmI"}, func(verb string) bool {
		return strings.HasPrefix(name, verb)
	})
}
