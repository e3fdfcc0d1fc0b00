package cli

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// leaves lists the commands that do something.
func leaves(c *cobra.Command) []*cobra.Command {
	if !c.HasSubCommands() {
		return []*cobra.Command{c}
	}
	var out []*cobra.Command
	for _, sub := range c.Commands() {
		out = append(out, leaves(sub)...)
	}
	return out
}

// Whatever is not known to change nothing, or to be no change of the network,
// can be tried and undone.
func TestEveryChangeCanBeTriedAndUndone(t *testing.T) {
	t.Parallel()
	others := []string{"list", "show", "hits", "status", "certificate", "confirm", "rollback", "watch", "denied", "explain",
		"wait", "verify", "history", "version", "dump-flows", "guard", "matrix", "groups", "export-host", "rotate-keys", "whoami", "help", "bash", "zsh", "fish", "powershell"}
	for _, c := range leaves(Root()) {
		want := !slices.Contains(others, c.Name())
		for _, flag := range []string{dryRunFlag, confirmWithinFlag} {
			if slices.Contains([]string{"cluster", "backup", "access", "token", "pki", "issue", "rotate"}, c.Parent().Name()) {
				want = false // what is about the nodes changes no flow
			}
			if c.Name() == "adopt" {
				want = flag == dryRunFlag // what it removes of others' does not come back
			}
			if has := c.Flags().Lookup(flag) != nil; has != want {
				t.Errorf("%s has --%s: %v, want %v", c.CommandPath(), flag, has, want)
			}
		}
	}
}

// The client knows these fields by their names only.
func TestEveryRequestThatChangesSomethingHasPlaceForTheFlags(t *testing.T) {
	t.Parallel()
	cannot := []protoreflect.Name{"AddNode", "IssueHostCertificate", "RemoveNode", "ConfirmChange", "RollbackChange", "RotateTunnelKeys", "AdoptNetwork",
		"SaveBackup", "StageBackup", "RestoreBackup", "TakeOverCluster", "ReadRevision", "PromoteNode", "ReplaceNode", "TransferLeadership", "UpdateClusterSettings", "ReportRefusedCalls", "ReadAuditChain", "CreateGrant", "DeleteGrant",
		"CreateToken", "DeleteToken", "IssueCertificate", "RevokeCertificate", "RenewCertificate", "RecordCertificates", "SignCertificate", "RotateCa", "PrepareCa"}
	found := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("poolwire.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				m := methods.Get(j)
				if reads("/"+string(m.FullName().Parent())+"/"+string(m.Name())) || slices.Contains(cannot, m.Name()) {
					continue
				}
				found++
				for _, field := range []protoreflect.Name{validateOnlyField, confirmWithinField} {
					if m.Input().Fields().ByName(field) == nil {
						t.Errorf("%s has no field %s", m.Input().Name(), field)
					}
				}
				if m.Output().Fields().ByName(previewField) == nil || m.Output().Fields().ByName(revisionField) == nil {
					t.Errorf("%s has no preview or no revision", m.Output().Name())
				}
			}
		}
		return true
	})
	if found < 30 {
		t.Errorf("%d methods that change something", found)
	}
}

var somePreview = &poolwirev1.Preview{
	Bridges: []*poolwirev1.BridgeDiff{{
		HostNameLabel: "xcp1", Bridge: "xenbr0", AddedCount: 3, ModifiedCount: 1, DeletedCount: 1,
		Added: []string{" table=10, priority=9 actions=drop"}, Modified: []string{"table=20, priority=1 actions=drop"}, Deleted: []string{"table=30, priority=2 actions=drop"},
	}},
	Sessions: []*poolwirev1.SessionVerdict{
		{Session: "tcp,orig=(src=192.0.2.7,dst=192.0.2.8)", Cut: true, RuleUuid: policyUUID, RuleText: "tcp to remote port 80"},
		{Session: "udp,orig=(src=192.0.2.7)"},
		{Session: "icmp,orig=(src=192.0.2.9)", Cut: true},
	},
	Warnings: []string{"address group db is empty"},
}

func TestDryRunShowsFlowsAndDoesNothingElse(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: twoPools(), fakePolicy: fakePolicy{preview: somePreview}}
	lines := tableLines(t, f, "vif", "lock", vifUUID, "--dry-run")
	for _, want := range []string{
		"dry run: nothing was changed", "xcp1 xenbr0: 3 flows added, 1 changed, 1 deleted", "- table=30, priority=2 actions=drop",
		"~ table=20, priority=1 actions=drop", "+ table=10, priority=9 actions=drop", "+ … and 2 more", "warning: address group db is empty",
		"cut tcp,orig=(src=192.0.2.7,dst=192.0.2.8)", "by rule " + policyUUID + ": tcp to remote port 80", "by the network's default action",
	} {
		wantLine(t, lines, want)
	}
	if text := strings.Join(lines, "\n"); strings.Contains(text, "udp,orig") || strings.Contains(text, "changed;") {
		t.Errorf("too much is told:\n%s", text)
	}
	if req := last[*poolwirev1.UpdateVifRequest](t, f); !req.GetValidateOnly() || req.GetConfirmWithin() != nil {
		t.Errorf("asked %v", req)
	}
	if f.waited != nil {
		t.Error("waited for the hosts")
	}
	_, out, _ := f.run(t, "vif", "lock", vifUUID, "--dry-run", "-o", "json")
	var answer struct {
		Preview struct{ Bridges []struct{ Bridge string } }
		Vif     struct{ UUID string }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Preview.Bridges) != 1 || answer.Vif.UUID != vifUUID {
		t.Errorf("%v in %s", err, out)
	}
}

func TestDryRunOfEveryKindOfChangeIsOnlyATrial(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"pool set paris --grace 10m", "network update xenbr0 --ra-guard", "private-network update blue --dhcp-guard", "address-group create x --address 192.0.2.1",
		"address-group add db 192.0.2.1", "address-group delete db", "vif-group create x --selector a=b", "vif-group update web --selector a=b",
		"vif-group remove web xcp1/vif2.0", "vif-group delete web", "rule update web-in --disabled", "rule delete web-in", "add-rule bridge=xenbr0 allow=false",
		"del-rule bridge=xenbr0 cookie=1", "vif update " + vifUUID + " --label a=b", "vif unlock aaaaaaaa-0000-0000-0000-00000000000f",
	} {
		f := policyServer()
		f.preview = &poolwirev1.Preview{SessionsNote: "no switch lists them"}
		code, out, errs := f.run(t, append(strings.Fields(command), "--dry-run")...)
		if code != exitOK || !strings.HasPrefix(out, "dry run: nothing was changed\n\nno flow and no meter would change on any host\n") || !strings.Contains(out, "no switch lists them") {
			t.Errorf("%s: exit %d, %q, %q", command, code, out, errs)
		}
		if f.waited != nil {
			t.Errorf("%s: waited", command)
		}
		for _, m := range f.asked {
			if field := m.ProtoReflect().Descriptor().Fields().ByName(validateOnlyField); field != nil && !m.ProtoReflect().Get(field).Bool() {
				t.Errorf("%s: %T was the real thing", command, m)
			}
		}
	}
}

// A controller that does not know the field makes the change. That is said.
func TestDryRunThatWasNoneIsAnError(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: twoPools()}
	if code, _, errs := f.run(t, "vif", "lock", vifUUID, "--dry-run"); code != exitFailed || !strings.Contains(errs, "may have made the change") {
		t.Errorf("exit %d, %q", code, errs)
	}
}

// A request without place for a flag never reaches the server.
func TestFlagsThatARequestCannotCarryAreRefused(t *testing.T) {
	t.Parallel()
	for _, flags := range []changeFlags{{dryRun: true}, {confirmWithin: time.Minute}} {
		a := newApp(Streams{}, nil)
		a.changes = flags
		invoked := false
		invoke := func(_ context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			invoked = true
			return nil
		}
		err := a.intercept(t.Context(), "/poolwire.v1.ClusterService/RemoveNode", &poolwirev1.RemoveNodeRequest{}, &poolwirev1.RemoveNodeResponse{}, nil, invoke)
		if exitCode(err) != exitUsage || invoked {
			t.Errorf("%+v: %v, invoked %v", flags, err, invoked)
		}
	}
}

func TestConfirmWithinTellsHowToConfirm(t *testing.T) {
	t.Parallel()
	soon := []*poolwirev1.PendingChange{{Id: "7", Revision: 7, Author: "alice", Deadline: timestamppb.New(time.Now().Add(time.Minute)), Summary: []string{"vif web1 changed"}}}
	f := &fakeServer{fakeLists: twoPools(), fakePolicy: fakePolicy{pending: soon}}
	_, out, errs := f.run(t, "vif", "lock", vifUUID, "--confirm-within", "90s")
	if !strings.Contains(out, "change 7 is undone in 1m30s unless it is confirmed:\n  poolwire change confirm 7\n") {
		t.Errorf("got %q, %q", out, errs)
	}
	if got := last[*poolwirev1.UpdateVifRequest](t, f).GetConfirmWithin().AsDuration(); got != 90*time.Second {
		t.Errorf("confirm within %s", got)
	}
	if f.waited.GetRevision() != 7 {
		t.Error("did not wait for the hosts")
	}
	_, out, errs = f.run(t, "vif", "lock", vifUUID, "--confirm-within", "90s", "-o", "json")
	if !json.Valid([]byte(out)) || !strings.Contains(errs, "poolwire change confirm 7") {
		t.Errorf("got %q, %q", out, errs)
	}
	f.pending = nil
	if _, out, _ = f.run(t, "vif", "lock", vifUUID, "--confirm-within", "90s"); !strings.Contains(out, "change 7 does not wait for confirmation") {
		t.Errorf("got %q", out)
	}
	if _, out, _ = f.run(t, "vif", "lock", vifUUID); strings.Contains(out, "change 7") {
		t.Errorf("told without the flag: %q", out)
	}
}

func TestPendingChangesAreListedConfirmedAndUndone(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakePolicy: fakePolicy{pending: []*poolwirev1.PendingChange{
		{Id: "7", Author: "alice", Deadline: timestamppb.New(time.Now().Add(time.Hour)), Summary: []string{"policy rule web-in created", "more"}},
	}}}
	lines := tableLines(t, f, "change", "list")
	wantLine(t, lines, "alice policy rule web-in created; more")
	if !strings.HasPrefix(lines[1], "7 1h") && !strings.HasPrefix(lines[1], "7 59m") {
		t.Errorf("got %q", lines[1])
	}
	_, out, _ := f.run(t, "change", "list", "-o", "json")
	var changes []struct{ ID string }
	if err := json.Unmarshal([]byte(out), &changes); err != nil || len(changes) != 1 || changes[0].ID != "7" {
		t.Errorf("%v in %s", err, out)
	}
	if code, out, _ := f.run(t, "change", "confirm", "7"); code != exitOK || out != "change 7 is confirmed and stays\n" || f.waited != nil {
		t.Errorf("exit %d, %q, waited %v", code, out, f.waited)
	}
	if code, _, _ := f.run(t, "change", "confirm", "8"); code != exitNotFound {
		t.Errorf("exit %d, want %d", code, exitNotFound)
	}
	if code, out, _ := f.run(t, "change", "rollback", "7"); code != exitOK || out != "change 7 is undone\n" || f.waited.GetRevision() != 8 {
		t.Errorf("exit %d, %q, waited %v", code, out, f.waited)
	}
}
