package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// hangs answers a request of a name only when its time has ended.
func hangs(name string) func(context.Context, proto.Message) error {
	return func(ctx context.Context, m proto.Message) error {
		if string(m.ProtoReflect().Descriptor().Name()) != name {
			return nil
		}
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
}

func TestATimeoutSaysWhatMayHaveHappened(t *testing.T) {
	t.Parallel()
	const add = "rule add --vif xcp1/vif2.0 --drop --inbound"
	for _, tc := range []struct {
		line, hangs string
		code        int
		want        string
	}{
		{add, "CreatePolicyRuleRequest", exitUnavailable, "poolwire: timed out; the change may have been made: look with poolwire rule list\n"},
		{"add-rule bridge=xenbr0 direction=to protocol=ip allow=false", "AddRuleRequest", exitUnavailable, "may have been made: look with poolwire rule list\n"},
		{"vif update xcp1/vif2.0 --label a=b", "UpdateVifRequest", exitUnavailable, "may have been made: look with poolwire vif list\n"},
		{"address-group remove db 192.0.2.1", "ModifyAddressGroupRequest", exitUnavailable, "may have been made: look with poolwire address-group list\n"},
		{"change rollback 7", "RollbackChangeRequest", exitUnavailable, "may have been made: look with poolwire change list\n"},
		{"cluster remove-node n1", "RemoveNodeRequest", exitUnavailable, "may have been made: look with poolwire cluster list\n"},
		{add, "GetVifRequest", exitUnavailable, "poolwire: timed out; nothing was changed\n"},
		{add + " --dry-run", "CreatePolicyRuleRequest", exitUnavailable, "poolwire: timed out; nothing was changed\n"},
		{add, "WaitForHostsRequest", exitUnconfirmed, "timed out; the change was made, but not every host is known to have confirmed it: look with poolwire rule list\n"},
		{"vif list", "ListVifsRequest", exitUnavailable, "poolwire: timed out\n"},
		{"watch", "ListPoolsRequest", exitUnavailable, "poolwire: timed out\n"},
	} {
		f := policyServer()
		f.meet = hangs(tc.hangs)
		code, _, errs := f.run(t, append(strings.Fields(tc.line), "--timeout", "150ms")...)
		if code != tc.code || !strings.HasSuffix(errs, tc.want) || strings.Contains(errs, "poolwired") {
			t.Errorf("%s, %s hangs: exit %d, %q, want %q", tc.line, tc.hangs, code, errs, tc.want)
		}
	}
}

// unknownOutcome is how the server says that it does not know.
func unknownOutcome(t *testing.T, code codes.Code) error {
	t.Helper()
	st, err := status.New(code, "repeat the call with the same request_id").WithDetails(&errdetails.ErrorInfo{Reason: "OUTCOME_UNKNOWN", Domain: "poolwire"})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

func TestAnUnknownOutcomeIsSaidInWordsOfTheClient(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]string{
		codes.Unavailable:      "poolwire: it is not known whether the change was made: look with poolwire rule list\n",
		codes.DeadlineExceeded: "poolwire: timed out; the change may have been made: look with poolwire rule list\n",
	} {
		f, answer := policyServer(), unknownOutcome(t, code)
		f.meet = func(_ context.Context, m proto.Message) error {
			if m.ProtoReflect().Descriptor().Name() == "DeletePolicyRuleRequest" {
				return answer
			}
			return nil
		}
		exit, _, errs := f.run(t, "rule", "delete", "web-in")
		if exit != exitUnavailable || !strings.HasPrefix(errs, want) || strings.Contains(errs, "request_id") {
			t.Errorf("%s: exit %d, %q", code, exit, errs)
		}
	}
}

// A node that is lost while it is asked leaves a change open; a trial changes nothing whatever happens.
func TestALostNodeLeavesOnlyChangesOpen(t *testing.T) {
	t.Parallel()
	for flag, open := range map[string]bool{"--dry-run=false": true, "--dry-run": false} {
		f := policyServer()
		f.meet = func(_ context.Context, m proto.Message) error {
			if m.ProtoReflect().Descriptor().Name() == "DeletePolicyRuleRequest" {
				return status.Error(codes.Unavailable, "gone")
			}
			return nil
		}
		exit, _, errs := f.run(t, "rule", "delete", "web-in", flag)
		if exit != exitUnavailable || strings.Contains(errs, "not known whether the change was made") != open {
			t.Errorf("%s: exit %d, %q", flag, exit, errs)
		}
	}
}

// Whoever breaks a change off is told that it may have been made, in the words of the client too.
func TestAChangeBrokenOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := new(app).outcome(ctx, ctx, unknownOutcome(t, codes.Canceled))
	if got := describe(err); got != "poolwire: it is not known whether the change was made: look with poolwire watch" || exitCode(err) != exitFailed {
		t.Errorf("exit %d, %q", exitCode(err), got)
	}
}

// TestTimeoutsHaveManyForms: whoever notices first, it is the same thing; what is told
// in time stays as it is.
func TestTimeoutsHaveManyForms(t *testing.T) {
	t.Parallel()
	reset := "stream terminated by RST_STREAM with error code: CANCEL"
	long, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	short, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, tc := range []struct {
		ctx  context.Context
		err  error
		want bool
	}{
		{short, status.Error(codes.Canceled, reset), true},
		{short, status.Error(codes.Internal, reset), true},
		{short, unknownOutcome(t, codes.Unavailable), true},
		{short, context.DeadlineExceeded, true},
		{long, status.Error(codes.DeadlineExceeded, "context deadline exceeded"), true},
		{long, status.Error(codes.Canceled, reset), false},
		{long, unknownOutcome(t, codes.Unavailable), false},
		{short, status.Error(codes.Unavailable, "connection refused"), false},
		{short, status.Error(codes.NotFound, "no such VIF"), false},
		{short, errors.New("the file is gone"), false},
	} {
		if got := endedEarly(tc.ctx, tc.err); got != tc.want {
			t.Errorf("%v: %v", tc.err, got)
		}
	}
}

func TestWithoutAServerThatIsSaid(t *testing.T) {
	t.Parallel()
	f := policyServer()
	code, _, errs := f.run(t, "vif", "list", "--socket", "/nonexistent/socket", "--timeout", "10s")
	if code != exitUnavailable || !strings.Contains(errs, "Is poolwired running?") {
		t.Errorf("exit %d, %q", code, errs)
	}
}
