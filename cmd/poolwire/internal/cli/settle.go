package cli

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// mutation is a change the server has accepted.
type mutation[T proto.Message] struct {
	// line tells a person what was done.
	line string
	// item is the resource as the server answered it.
	item T
	// reread fetches the resource again, nil when it cannot be different.
	reread func(context.Context) (T, error)
}

// settle reports a change and waits for it, by wait. A person reads what was
// done while the hosts are waited for; a program gets one answer, that of the
// end: the resource as it is then, also when not every host confirmed.
func settle[T proto.Message](ctx context.Context, a *app, c mutation[T], wait func() error) error {
	a.say("%s", c.line)
	a.announce(ctx)
	if !a.structured() {
		return wait()
	}
	failed := wait()
	item := c.item
	if c.reread != nil {
		got, err := c.reread(ctx)
		switch {
		case err == nil:
			item = got
		case failed == nil && status.Code(err) != codes.NotFound:
			failed = err
		}
	}
	if err := a.printMessage(item); err != nil {
		return err
	}
	return failed
}

// gone reports the removal of a resource and waits for it. Programs get the
// server's answer, which carries the revision.
func (a *app) gone(ctx context.Context, line string, answer proto.Message, wait func() error) error {
	return settle(ctx, a, mutation[proto.Message]{line: line, item: answer}, wait)
}

// confirmed is the wait for a revision, as settle takes it.
func (a *app) confirmed(ctx context.Context, api *client, revision uint64) func() error {
	return func() error { return a.confirm(ctx, api, revision) }
}

// nothing is the wait for a change that no host has to follow.
func nothing() error { return nil }
