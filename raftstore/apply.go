package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// enqueueTimeout bounds how long a command waits for Raft to take it.
const enqueueTimeout = 5 * time.Second

// Apply writes a command through the log and returns what it did. When it
// returns without an error the command survives the loss of any minority of
// the nodes, and View shows it.
//
// The command is not changed and may be used again. It is stamped with the
// time, and with a new UUID where a resource is created without one.
//
// Errors: *NotLeaderError (nothing was written); *NotFoundError, *ExistsError,
// *ConflictError, *PreconditionError and *InvalidError from the state;
// ErrUnknownOutcome, together with the context's error when that is why, when
// the command was handed to Raft and the answer did not come; ErrBusy,
// ErrNoSpace, ErrClosed and ErrStopped; the context's error when it ended before.
func (s *Store) Apply(ctx context.Context, c *storev1.Command) (Result, error) {
	return s.apply(ctx, c, 0)
}

// ApplyTo is Apply for a command that was planned on a view of Look or ReadView. It does
// nothing unless the view held every write acknowledged before it was taken: an entry of the
// view's own term can only be committed while no later leader has written.
//
// Errors: those of Apply; *NotLeaderError also when this node has led in another term since.
func (s *Store) ApplyTo(ctx context.Context, v *View, c *storev1.Command) (Result, error) {
	if v.term == 0 {
		return Result{}, errors.New("apply: the view is not a leader's")
	}
	if s.understanding().meaning < meaningPlanned {
		if err := s.Prove(ctx, v); err != nil {
			return Result{}, err
		}
		return s.apply(ctx, c, 0)
	}
	return s.apply(ctx, c, v.term)
}

// apply writes a command in a term, 0 for any.
func (s *Store) apply(ctx context.Context, c *storev1.Command, planned uint64) (Result, error) {
	if numberOf(c) == 0 {
		return Result{}, &InvalidError{Field: "body", Reason: "is required"}
	}
	term, err := s.mayLead(ctx)
	if err != nil {
		return Result{}, err
	}
	if planned != 0 && term != planned {
		return Result{}, s.notLeader()
	}
	if s.space.short.Load() {
		if _, found := s.steward.successor(); found && !s.space.stuck(term) {
			return Result{}, &NotLeaderError{} // the other one leads in a moment
		}
		return Result{}, ErrNoSpace
	}
	return s.proposeIn(ctx, c, planned)
}

type originKey struct{}

// WithOrigin says of all commands that are proposed in a context, and do not say it themselves, who asked for them.
func WithOrigin(ctx context.Context, o *storev1.Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

func originOf(ctx context.Context) *storev1.Origin {
	o, _ := ctx.Value(originKey{}).(*storev1.Origin)
	return o
}

// propose hands a command to Raft, also before this node has taken over.
func (s *Store) propose(ctx context.Context, c *storev1.Command) (Result, error) {
	return s.proposeIn(ctx, c, 0)
}

// proposeIn is propose for a command that is to do nothing outside of a term, 0 for any.
func (s *Store) proposeIn(ctx context.Context, c *storev1.Command, term uint64) (Result, error) {
	all := s.understanding()
	if err := all.allows(numberOf(c)); err != nil {
		return Result{}, err
	}
	if err := all.allowsVif(c.GetPutVif().GetVif()); err != nil {
		return Result{}, err
	}
	stamped := s.stamp(c, all.meaning)
	stamped.Term = term
	if stamped.Origin == nil {
		stamped.Origin = originOf(ctx)
	}
	data, err := proto.Marshal(stamped)
	if err != nil {
		return Result{}, fmt.Errorf("encode command: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	type answer struct {
		response any
		err      error
	}
	done := make(chan answer, 1)
	go func() {
		f := s.raft.Apply(data, enqueueTimeout)
		if err := f.Error(); err != nil {
			done <- answer{err: err}
			return
		}
		done <- answer{response: f.Response()}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return Result{}, s.proposalError(a.err)
		}
		r := a.response.(response)
		return r.result, r.err
	case <-ctx.Done():
		return Result{}, fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
	}
}

// proposalError sorts Raft's errors into "nothing was written" and "not known".
// Errors of the log store are of the second kind: the entry may be on disk.
func (s *Store) proposalError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return s.notLeader()
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return ErrBusy
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}

// stamp returns the command with time, meaning and UUIDs; it shares what it does not
// change with c.
func (s *Store) stamp(c *storev1.Command, meaning uint32) *storev1.Command {
	out := &storev1.Command{Body: c.Body, RequestId: c.RequestId, Time: timestamppb.New(s.cfg.Now()), ConfirmWithin: c.ConfirmWithin, Author: c.Author, Meaning: meaning, Origin: c.Origin, RequestContent: c.RequestContent}
	switch body := c.Body.(type) {
	case *storev1.Command_PutPool:
		if p := body.PutPool; p.GetCreate() && p.GetPool() != nil && p.GetPool().GetUuid() == "" {
			p = proto.CloneOf(p)
			p.Pool.Uuid = s.cfg.NewUUID()
			out.Body = &storev1.Command_PutPool{PutPool: p}
		}
	case *storev1.Command_PutHost:
		if p := body.PutHost; p.GetCreate() && p.GetHost() != nil && p.GetHost().GetUuid() == "" {
			p = proto.CloneOf(p)
			p.Host.Uuid = s.cfg.NewUUID()
			out.Body = &storev1.Command_PutHost{PutHost: p}
		}
	case *storev1.Command_PutPrivateNetwork:
		if p := body.PutPrivateNetwork; p.GetCreate() && p.GetPrivateNetwork() != nil && p.GetPrivateNetwork().GetUuid() == "" {
			p = proto.CloneOf(p)
			p.PrivateNetwork.Uuid = s.cfg.NewUUID()
			out.Body = &storev1.Command_PutPrivateNetwork{PutPrivateNetwork: p}
		}
	case *storev1.Command_PutRule:
		if p := body.PutRule; p.GetMode() != storev1.PutMode_PUT_MODE_UPDATE && p.GetRule() != nil && p.GetRule().GetUuid() == "" {
			p = proto.CloneOf(p)
			p.Rule.Uuid = s.cfg.NewUUID()
			out.Body = &storev1.Command_PutRule{PutRule: p}
		}
	default:
		s.stampPolicy(out)
	}
	return out
}

// stampPolicy gives new policy rules and groups their UUIDs.
func (s *Store) stampPolicy(out *storev1.Command) {
	switch body := out.Body.(type) {
	case *storev1.Command_PutPolicyRule:
		if p := body.PutPolicyRule; p.GetCreate() && p.GetPolicyRule() != nil && p.GetPolicyRule().GetUuid() == "" {
			p = proto.CloneOf(p)
			p.PolicyRule.Uuid = s.cfg.NewUUID()
			out.Body = &storev1.Command_PutPolicyRule{PutPolicyRule: p}
		}
	case *storev1.Command_PutAddressGroup:
		if p := body.PutAddressGroup; p.GetCreate() && p.GetAddressGroup() != nil && p.GetAddressGroup().GetUuid() == "" {
			p = proto.CloneOf(p)
			p.AddressGroup.Uuid = s.cfg.NewUUID()
			out.Body = &storev1.Command_PutAddressGroup{PutAddressGroup: p}
		}
	case *storev1.Command_PutVifGroup:
		if p := body.PutVifGroup; p.GetCreate() && p.GetVifGroup() != nil && p.GetVifGroup().GetUuid() == "" {
			p = proto.CloneOf(p)
			p.VifGroup.Uuid = s.cfg.NewUUID()
			out.Body = &storev1.Command_PutVifGroup{PutVifGroup: p}
		}
	}
}
