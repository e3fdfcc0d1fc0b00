package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Flags of every command that changes what the switches do.
const (
	dryRunFlag        = "dry-run"
	confirmWithinFlag = "confirm-within"
)

// Fields that carry these flags in every request that changes something, and
// those of its answer.
const (
	validateOnlyField  protoreflect.Name = "validate_only"
	confirmWithinField protoreflect.Name = "confirm_within"
	previewField       protoreflect.Name = "preview"
	revisionField      protoreflect.Name = "revision"
)

// changeFlags say how a change is made: tried only, or undone unless confirmed.
type changeFlags struct {
	dryRun        bool
	confirmWithin time.Duration
	// sessions is the host of which the request carries live sessions to judge; empty
	// for none.
	sessions string
	// stage says how far the change has got.
	stage changeStage
	// pending is the revision of a change that waits for confirmation and has
	// not been told of; 0 for none.
	pending uint64
}

// addChanges adds commands that change something to their noun, with the flags
// all of them have.
func (a *app) addChanges(noun *cobra.Command, commands ...*cobra.Command) {
	for _, c := range commands {
		c.Flags().BoolVar(&a.changes.dryRun, dryRunFlag, false, "change nothing; show which flows would change on which host")
		c.Flags().DurationVar(&a.changes.confirmWithin, confirmWithinFlag, 0,
			"undo the change unless 'poolwire change confirm' comes within this time, 1s to 24h")
	}
	noun.AddCommand(commands...)
}

// check refuses flags that contradict each other.
func (f *changeFlags) check(cmd *cobra.Command) error {
	given := cmd.Flags().Lookup(confirmWithinFlag)
	switch {
	case given == nil || !given.Changed:
		return nil
	case f.confirmWithin <= 0:
		return usageError{fmt.Errorf("--%s %q: use a positive duration like 60s", confirmWithinFlag, f.confirmWithin)}
	case f.dryRun:
		return usageError{fmt.Errorf("--%s and --%s: a dry run changes nothing that could be undone", dryRunFlag, confirmWithinFlag)}
	}
	return nil
}

// dryRunAnswer ends a command after its change was tried. It takes the way of an
// error, so that nothing a command does after a change is done after a trial.
type dryRunAnswer struct{ answer proto.Message }

func (*dryRunAnswer) Error() string { return "dry run: nothing was changed" }

// intercept puts the flags into every request that changes something, and follows
// how far the change has got.
func (a *app) intercept(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if reads(method) {
		return invoke(ctx, method, req, reply, conn, opts...)
	}
	a.changes.stage = asked
	err := a.flagged(ctx, method, req, reply, conn, invoke, opts...)
	a.changes.stage = a.changes.stage.after(err)
	return err
}

// flagged makes a request that changes something. One that has no place for the flags
// is refused: a trial must never be the real thing.
func (a *app) flagged(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if !a.changes.dryRun && a.changes.confirmWithin == 0 {
		return invoke(ctx, method, req, reply, conn, opts...)
	}
	question, answer := req.(proto.Message), reply.(proto.Message)
	if a.changes.dryRun {
		if !setField(question, validateOnlyField, protoreflect.ValueOfBool(true)) {
			return usageError{fmt.Errorf("--%s: the controller has no dry run for this", dryRunFlag)}
		}
		if err := invoke(ctx, method, req, reply, conn, opts...); err != nil {
			return err
		}
		if previewOf(answer) == nil {
			return errors.New("the controller's answer has no preview: it is older than this client, and may have made the change")
		}
		return &dryRunAnswer{answer}
	}
	within := protoreflect.ValueOfMessage(durationpb.New(a.changes.confirmWithin).ProtoReflect())
	if !setField(question, confirmWithinField, within) {
		return usageError{fmt.Errorf("--%s: the controller cannot undo this", confirmWithinFlag)}
	}
	if err := invoke(ctx, method, req, reply, conn, opts...); err != nil {
		return err
	}
	if f := answer.ProtoReflect().Descriptor().Fields().ByName(revisionField); f != nil {
		a.changes.pending = answer.ProtoReflect().Get(f).Uint()
	}
	return nil
}

// reads tells methods that change nothing from the others, by the verb that begins
// every method's name.
func reads(method string) bool {
	name := method[strings.LastIndex(method, "/")+1:]
	return slices.ContainsFunc([]string{"Get", "List", "Describe", "Explain", "WaitFor", "Watch", "Dump", "WhoAmI"}, func(verb string) bool {
		return strings.HasPrefix(name, verb)
	})
}

// setField sets a field of a message and reports whether there is one.
func setField(m proto.Message, name protoreflect.Name, v protoreflect.Value) bool {
	f := m.ProtoReflect().Descriptor().Fields().ByName(name)
	if f == nil {
		return false
	}
	m.ProtoReflect().Set(f, v)
	return true
}

// previewOf is the preview in an answer, nil when there is none.
func previewOf(answer proto.Message) *poolwirev1.Preview {
	m := answer.ProtoReflect()
	f := m.Descriptor().Fields().ByName(previewField)
	if f == nil || !m.Has(f) {
		return nil
	}
	p, _ := m.Get(f).Message().Interface().(*poolwirev1.Preview)
	return p
}

// announce says, once, how to keep a change that is undone otherwise. Programs
// read results, so for them it goes beside these.
func (a *app) announce(ctx context.Context) {
	revision := a.changes.pending
	if revision == 0 || a.client == nil {
		return
	}
	a.changes.pending = 0
	id, within := strconv.FormatUint(revision, 10), durationText(a.changes.confirmWithin)
	text := fmt.Sprintf("change %s is undone in %s unless it is confirmed:\n  poolwire change confirm %s", id, within, id)
	pending, err := a.client.changes.ListPendingChanges(ctx, &poolwirev1.ListPendingChangesRequest{})
	if err == nil && !slices.ContainsFunc(pending.GetChanges(), func(c *poolwirev1.PendingChange) bool { return c.GetId() == id }) {
		text = fmt.Sprintf("change %s does not wait for confirmation: it made no difference, or is undone already", id)
	}
	out := a.streams.Out
	if a.structured() {
		out = a.streams.Err
	}
	fmt.Fprintln(out, text)
}
