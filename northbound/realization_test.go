package northbound

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
)

// TestRealizationStates: what each answer of the hosts means for an object that
// two hosts carry.
func TestRealizationStates(t *testing.T) {
	t.Parallel()
	const (
		pending   = v1.RealizationState_REALIZATION_STATE_PENDING
		progress  = v1.RealizationState_REALIZATION_STATE_IN_PROGRESS
		confirmed = v1.RealizationState_REALIZATION_STATE_CONFIRMED
		partial   = v1.RealizationState_REALIZATION_STATE_PARTIAL
		failed    = v1.RealizationState_REALIZATION_STATE_FAILED
	)
	tests := map[string]struct {
		live func(*fakeLive)
		want v1.RealizationState
		says string
	}{
		"both confirmed": {func(*fakeLive) {}, confirmed, ""},
		"one is away":    {func(l *fakeLive) { l.state[xcp2] = v1.HostState_HOST_STATE_AWAY }, partial, "away: xcp2"},
		"both away": {func(l *fakeLive) {
			l.state[xcp1], l.state[xcp2] = v1.HostState_HOST_STATE_AWAY, v1.HostState_HOST_STATE_AWAY
		}, partial, "away: xcp1, xcp2"},
		"one on its way":              {func(l *fakeLive) { l.lagging[xcp1] = true }, progress, "waiting for xcp1"},
		"one on its way, one away":    {func(l *fakeLive) { l.lagging[xcp1] = true; l.state[xcp2] = v1.HostState_HOST_STATE_AWAY }, progress, "xcp1"},
		"one refuses, one on its way": {func(l *fakeLive) { l.refusing[xcp1] = "bad flow"; l.lagging[xcp2] = true }, failed, "refused by xcp1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newWorld(t)
			f.live.change(func() { tt.live(f.live) })
			wide := f.add(addRule(func(r *v1.AddRuleRequest) { r.Mac = "" })).GetRule().GetRealization()
			private, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", func(n *v1.PrivateNetwork) { n.Members = n.Members[:1] }))
			if err != nil {
				t.Fatal(err)
			}
			for what, got := range map[string]*v1.Realization{"network-wide rule": wide, "private network": private.GetPrivateNetwork().GetRealization()} {
				if got.GetState() != tt.want || len(got.GetHosts()) != 2 || !strings.Contains(got.GetMessage(), tt.says) {
					t.Errorf("%s: %v", what, got)
				}
			}
		})
	}
	t.Run("no host", func(t *testing.T) {
		t.Parallel()
		f := newWorld(t)
		made, err := f.CreateVif(f.ctx, &v1.CreateVifRequest{Vif: &v1.Vif{Uuid: id('c', 9)}})
		if r := made.GetVif().GetRealization(); err != nil || r.GetState() != pending || !strings.Contains(r.GetMessage(), "not plugged") {
			t.Errorf("%v, %v", r, err)
		}
	})
}

// TestReleasedHosts: a host that is released carries nothing. It is named, and it
// neither counts as away nor holds up what the others have confirmed.
func TestReleasedHosts(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	release := func(host string) {
		t.Helper()
		if _, err := f.ReleaseHost(f.ctx, &v1.ReleaseHostRequest{Host: host}); err != nil {
			t.Fatal(err)
		}
	}
	bound := f.add(addRule(nil)).GetRule().GetUuid()
	wide := f.add(addRule(func(r *v1.AddRuleRequest) { r.Mac = "" })).GetRule().GetUuid()
	check := func(rule string, state v1.RealizationState, message string) {
		t.Helper()
		r, err := f.GetRule(f.ctx, &v1.GetRuleRequest{Rule: rule})
		if got := r.GetRule().GetRealization(); err != nil || got.GetState() != state || got.GetMessage() != message {
			t.Errorf("%v, %v; want %v %q", got, err, state, message)
		}
	}
	release("xcp1")
	check(bound, v1.RealizationState_REALIZATION_STATE_PENDING, "host xcp1 is released")
	check(wide, v1.RealizationState_REALIZATION_STATE_CONFIRMED, "host xcp1 is released")
	f.live.change(func() { f.live.state[xcp2] = v1.HostState_HOST_STATE_AWAY })
	check(wide, v1.RealizationState_REALIZATION_STATE_PARTIAL, "away: xcp2; host xcp1 is released")
	f.live.change(func() { delete(f.live.state, xcp2) })
	made, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", nil))
	if err != nil {
		t.Fatal(err)
	}
	f.live.change(func() {
		f.live.private[made.GetPrivateNetwork().GetUuid()] = []*v1.PrivateNetworkHostStatus{{HostUuid: xcp1, HostNameLabel: "xcp1", Reason: "host is released"}}
	})
	blue, err := f.GetPrivateNetwork(f.ctx, &v1.GetPrivateNetworkRequest{PrivateNetwork: "blue"})
	if got := blue.GetPrivateNetwork().GetRealization(); err != nil || got.GetState() != v1.RealizationState_REALIZATION_STATE_CONFIRMED || got.GetMessage() != "host xcp1 is released" {
		t.Errorf("private network: %v, %v", got, err)
	}
	release("xcp2")
	check(wide, v1.RealizationState_REALIZATION_STATE_PENDING, "hosts xcp1, xcp2 are released")
	vif, err := f.GetVif(f.ctx, &v1.GetVifRequest{Vif: vif1})
	if got := vif.GetVif().GetRealization(); err != nil || got.GetState() != v1.RealizationState_REALIZATION_STATE_PENDING || got.GetMessage() != "host xcp1 is released" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestWaitIsTheControllers: what the controller calls confirmed is confirmed,
// also for a call whose deadline leaves no time to wait.
func TestWaitIsTheControllers(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	for _, revision := range []uint64{0, 1, f.store.View().Revision()} {
		r, err := f.WaitForHosts(f.ctx, &v1.WaitForHostsRequest{Revision: revision, Timeout: durationpb.New(1)})
		if err != nil || r.GetRealization().GetState() != v1.RealizationState_REALIZATION_STATE_CONFIRMED {
			t.Errorf("revision %d: %v, %v", revision, r, err)
		}
	}
}

// TestVifState: where it is plugged, the locking in force after the network's
// default, and what a standalone bridge means for a lock.
func TestVifState(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	get := func() *v1.Vif {
		t.Helper()
		r, err := f.GetVif(f.ctx, &v1.GetVifRequest{Vif: vif1})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetVif()
	}
	f.plug(xcp1, "tap1.0", "xenbr0", vif1, mac1, 9)
	vif := get()
	want := []*v1.VifLocation{{HostUuid: xcp1, HostNameLabel: "xcp1", Bridge: "xenbr0", Interfaces: []string{"tap1.0", "vif1.0"}, Ofports: []uint32{9, 2}}}
	if len(vif.GetLocations()) != 1 || !proto.Equal(vif.GetLocations()[0], want[0]) {
		t.Errorf("locations %v, want %v", vif.GetLocations(), want)
	}
	if vif.GetEffectiveLockingMode() != v1.LockingMode_LOCKING_MODE_UNLOCKED || vif.GetRealization().GetMessage() != "" {
		t.Errorf("by default: %v", vif)
	}
	_, err := f.UpdateNetwork(f.ctx, &v1.UpdateNetworkRequest{
		Network: &v1.Network{Uuid: vif.GetNetworkUuid(), DefaultLockingMode: v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED},
		Force:   true, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"default_locking_mode"}}})
	if err != nil {
		t.Fatal(err)
	}
	vif = get()
	if vif.GetEffectiveLockingMode() != v1.LockingMode_LOCKING_MODE_DISABLED || !strings.Contains(vif.GetRealization().GetMessage(), "standalone: the lock ends 1m0s after") {
		t.Errorf("default disabled: %v", vif)
	}
	_, err = f.UpdatePool(f.ctx, &v1.UpdatePoolRequest{Pool: &v1.Pool{Uuid: paris, FailMode: v1.FailMode_FAIL_MODE_SECURE},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"fail_mode"}}})
	if err != nil {
		t.Fatal(err)
	}
	if vif = get(); vif.GetRealization().GetMessage() != "" {
		t.Errorf("secure: %v", vif.GetRealization())
	}
	// Forgetting the intent of a plugged VIF leaves the VIF.
	f.add(addRule(nil))
	if _, err := f.DeleteVif(f.ctx, &v1.DeleteVifRequest{Vif: "xcp1/vif1.0"}); err != nil {
		t.Fatal(err)
	}
	if get().GetLockingMode() != v1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT {
		t.Errorf("after DeleteVif: %v", get())
	}
}

// TestFindVif: every way to name a VIF, and what is said when it leads nowhere
// or to several.
func TestFindVif(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.apply(putVif(&v1.Vif{Uuid: vif1, NameLabel: "web"}, false))
	for _, ref := range []string{vif1, strings.ToUpper(vif1), "web", mac1, strings.ToUpper(mac1), strings.ReplaceAll(mac1, ":", "-"), "xcp1/vif1.0", xcp1 + "/vif1.0"} {
		r, err := f.GetVif(f.ctx, &v1.GetVifRequest{Vif: ref})
		if err != nil || r.GetVif().GetUuid() != vif1 {
			t.Errorf("%s: %v, %v", ref, r.GetVif(), err)
		}
	}
	f.plug(xcp3, "vif7.0", "xenbr0", id('c', 7), mac1, 7)
	for ref, want := range map[string]refusal{
		mac1:          {codes.InvalidArgument, "vif", []string{"ambiguous", vif1 + " (" + mac1 + ", on xcp1/vif1.0)", id('c', 7), "xcp3/vif7.0"}},
		"xcp1/vif9.0": {codes.NotFound, "vif", []string{`"xcp1/vif9.0"`, `host "xcp1" has no VIF`, "known: vif1.0"}},
		"xcp9/vif1.0": {codes.NotFound, "vif", []string{`"xcp9/vif1.0"`, "no host of the UUID or name_label before the /", "xcp1, xcp2, xcp3"}},
		"nobody":      {codes.NotFound, "vif", []string{`"nobody"`, "HOST/INTERFACE"}},
		"":            {codes.InvalidArgument, "vif", []string{"is required"}},
	} {
		_, err := f.GetVif(f.ctx, &v1.GetVifRequest{Vif: ref})
		want.check(t, err)
	}
}

// TestWaitForHosts: hosts that are away are named and not waited for; one that
// is slow is waited for until the timeout, which is an answer and no error.
func TestWaitForHosts(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.live.change(func() {
		f.live.state[xcp3] = v1.HostState_HOST_STATE_AWAY
		f.live.lagging[xcp1] = true
	})
	r, err := f.WaitForHosts(f.ctx, &v1.WaitForHostsRequest{Timeout: durationpb.New(20 * time.Millisecond)})
	if err != nil || r.GetRealization().GetState() != v1.RealizationState_REALIZATION_STATE_IN_PROGRESS || r.GetRevision() != f.store.View().Revision() {
		t.Errorf("%v, %v", r, err)
	}
	done := make(chan *v1.WaitForHostsResponse, 1)
	go func() {
		r, _ := f.WaitForHosts(f.ctx, &v1.WaitForHostsRequest{})
		done <- r
	}()
	f.live.change(func() { delete(f.live.lagging, xcp1) })
	if r := <-done; r.GetRealization().GetState() != v1.RealizationState_REALIZATION_STATE_PARTIAL || !strings.Contains(r.GetRealization().GetMessage(), "xcp3") {
		t.Errorf("%v", r)
	}
}

// TestClusterStatus: nodes, totals, hosts by state, and who was refused.
func TestClusterStatus(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.live.change(func() { f.live.state[xcp3] = v1.HostState_HOST_STATE_AWAY })
	f.add(addRule(nil))
	st, err := f.GetClusterStatus(f.ctx, &v1.GetClusterStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if st.GetPools() != 2 || st.GetVifs() != 3 || st.GetRules() != 1 || st.GetHosts()["HOST_STATE_READY"] != 2 || st.GetHosts()["HOST_STATE_AWAY"] != 1 ||
		st.GetLeaderId() != "n1" || len(st.GetNodes()) != 1 || st.GetTerm() == 0 || len(st.GetRefusedConnections()) != 1 || st.GetClusterUuid() == "" ||
		st.GetRevision() != f.store.View().Revision() || st.GetVersion() != "test" {
		t.Errorf("%v", st)
	}
}
