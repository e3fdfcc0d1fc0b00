package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// others changes something between the reading and the writing of a command, the
// first times that it writes.
type others struct {
	mu    sync.Mutex
	times int
	// change is what they do, the n-th time.
	change func(n int)
	writes int
}

func (o *others) meet(_ context.Context, m proto.Message) error {
	if !strings.HasPrefix(string(m.ProtoReflect().Descriptor().Name()), "Update") {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writes++; o.times != 0 && o.writes > o.times {
		return nil
	}
	if o.change != nil {
		o.change(o.writes)
	}
	return status.Error(codes.Aborted, "the VIF changed since it was read")
}

func TestASingleLabelIsChangedWhateverOthersDo(t *testing.T) {
	t.Parallel()
	f := policyServer()
	vif := f.vifs[2]
	vif.Labels = map[string]string{"app": "web"}
	o := &others{times: 6, change: func(n int) { vif.Labels[fmt.Sprint("k", n)] = "v" }}
	f.meet = o.meet
	if code, out, errs := f.run(t, "vif", "update", vifUUID, "--label", "mine=1"); code != exitOK || !strings.Contains(out, "changed") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	got := last[*poolwirev1.UpdateVifRequest](t, f).GetVif().GetLabels()
	if len(got) != 8 || got["mine"] != "1" || got["k6"] != "v" || got["app"] != "web" {
		t.Errorf("after %d writes the labels are %v", o.writes, got)
	}
}

func TestEveryEditIsMadeAgain(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"rule update web-in --priority 7", "address-group update db --address 192.0.2.9", "address-group update db --file -",
		"vif-group update web --selector app=db", "network update xenbr0 --ra-guard", "host set xcp1 --name x", "vif lock xcp1/vif2.0",
	} {
		f := policyServer()
		f.stdin = "192.0.2.3\n"
		f.meet = (&others{times: 2}).meet
		if code, _, errs := f.run(t, strings.Fields(line)...); code != exitOK {
			t.Errorf("%s: exit %d: %s", line, code, errs)
		}
		if strings.Contains(line, "--file") {
			if got := last[*poolwirev1.UpdateAddressGroupRequest](t, f).GetAddressGroup().GetAddresses(); len(got) != 1 || got[0] != "192.0.2.3" {
				t.Errorf("addresses %v", got)
			}
		}
	}
}

func TestAnEditThatNeverGetsThroughEnds(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.meet = (&others{}).meet
	code, _, errs := f.run(t, "vif", "update", vifUUID, "--label", "mine=1", "--timeout", "100ms")
	// The time may also end while it reads, and then nothing was changed, or while the server answers, and then nobody knows.
	told := code == exitConflict && strings.Contains(errs, "others keep changing it: nothing was changed") ||
		code == exitUnavailable && (strings.Contains(errs, "nothing was changed") || strings.Contains(errs, "may have been made"))
	if !told || strings.Contains(errs, "etag") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestNothingChangedIsSaid(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.vifs[2].Etag, f.addressGroups[0].Etag, f.vifGroups[0].Etag, f.policies[0].Etag, f.networks[0].Etag = "7", "7", "7", "7", "7"
	for line, want := range map[string]string{
		"vif update xcp1/vif2.0 --unlabel nothere":    "vif xcp1/vif2.0 is as it was: nothing was changed",
		"address-group remove db 9.9.9.9":             "address group db is as it was: nothing was changed; it has 1 member",
		"vif-group remove web v-away":                 "VIF group web is as it was: nothing was changed; it has 1 member",
		"address-group update db --address 192.0.2.1": "address group db is as it was: nothing was changed",
		"vif-group update web --selector app=web":     "VIF group web is as it was: nothing was changed",
		"rule update web-in --protocol tcp":           "rule web-in is as it was: nothing was changed",
		"network update xenbr0 --ra-guard=false":      "network xenbr0 is as it was: nothing was changed",
	} {
		lines := tableLines(t, f, strings.Fields(line)...)
		wantLine(t, lines, want)
		if strings.Contains(strings.Join(lines, " "), " changed (") || strings.Contains(strings.Join(lines, " "), "takes effect") {
			t.Errorf("%s: %q", line, lines)
		}
	}
	f.addressGroups[0].Etag = "8"
	f.meet = func(_ context.Context, m proto.Message) error {
		if _, writes := m.(*poolwirev1.ModifyAddressGroupRequest); writes {
			f.addressGroups[0].Etag = "9"
		}
		return nil
	}
	wantLine(t, tableLines(t, f, "address-group", "remove", "db", "192.0.2.1"), "address group db changed; it has")
}
