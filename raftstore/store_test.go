package raftstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// patience ends tests that would hang; nothing waits it out.
func patience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// openSingle opens a store of one node and waits until it leads.
func openSingle(t testing.TB, dir string) *Store {
	t.Helper()
	return open(t, Config{NodeID: "n1", Dir: dir, Bootstrap: true, Raft: quick()}, true)
}

func open(t testing.TB, cfg Config, lead bool) *Store {
	t.Helper()
	s, err := Open(patience(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	if lead {
		waitLeader(t, s)
	}
	return s
}

func waitLeader(t testing.TB, s *Store) {
	t.Helper()
	ctx := patience(t)
	for {
		select {
		case leads := <-s.Leadership():
			if leads {
				return
			}
		case <-ctx.Done():
			t.Fatal("no leadership")
		}
	}
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func apply(t testing.TB, s *Store, c *storev1.Command) Result {
	t.Helper()
	r, err := s.Apply(patience(t), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := Config{NodeID: "n1", Dir: dir, Bootstrap: true, APIAddress: "192.0.2.1:8443", OpenFlowAddress: "192.0.2.1:6653", Version: "1", Raft: quick(),
		Now: func() time.Time { return time.Unix(1_800_000_000, 0) }}
	s := open(t, cfg, true)
	if !s.IsLeader() || s.Term() == 0 || s.View().ClusterUUID() == "" {
		t.Errorf("leader %v, term %d, cluster %q", s.IsLeader(), s.Term(), s.View().ClusterUUID())
	}
	if id, api := s.Leader(); id != "n1" || api != cfg.APIAddress {
		t.Errorf("Leader = %q %q", id, api)
	}
	sub, err := s.Subscribe(s.View().Revision())
	if err != nil {
		t.Fatal(err)
	}
	cmd := putPool(&poolwirev1.Pool{NameLabel: "x"}, true)
	asked := proto.CloneOf(cmd)
	r := apply(t, s, cmd)
	if !proto.Equal(cmd, asked) {
		t.Error("Apply changed the command")
	}
	if len(r.UUIDs) != 1 || len(r.UUIDs[0]) != 36 || r.Revision == 0 {
		t.Fatalf("result %+v", r)
	}
	p := s.View().Pool(r.UUIDs[0])
	if p.GetCreateTime().AsTime().Unix() != 1_800_000_000 {
		t.Errorf("time of %v", p)
	}
	if set, err := sub.Next(patience(t)); err != nil || set.Revision != r.Revision || len(set.Changes) != 1 {
		t.Errorf("change set %+v, %v", set, err)
	}
	v, err := s.ReadView(patience(t))
	if err != nil || v.Pool(r.UUIDs[0]) == nil || v.Revision() != r.Revision {
		t.Errorf("ReadView: %v", err)
	}
	nodes, err := s.Nodes()
	want := &poolwirev1.Node{Id: "n1", RaftAddress: "n1", ApiAddress: cfg.APIAddress, OpenflowAddress: cfg.OpenFlowAddress, Version: "1", Leader: true, Voter: true, Commands: commandsNow, Meaning: meaningNow}
	if err != nil || len(nodes) != 1 || !proto.Equal(nodes[0], want) {
		t.Errorf("Nodes = %v, %v", nodes, err)
	}
	if st := s.Stats(); st.State != "Leader" || st.AppliedIndex < r.Revision || s.LastIndex() < r.Revision || s.AppliedIndex() < r.Revision {
		t.Errorf("Stats = %+v", st)
	}
	closeStore(t, s)
	closeStore(t, s)
	if _, err := s.Apply(context.Background(), cmd); !errors.Is(err, ErrClosed) {
		t.Errorf("Apply after Close: %v", err)
	}
	if _, err := s.ReadView(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("ReadView after Close: %v", err)
	}
	if _, err := sub.Next(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
	if s.View().Pool(r.UUIDs[0]) == nil {
		t.Error("a closed store cannot be viewed")
	}
}

// A restart in which nothing happens loses nothing and does nothing: the same
// state, the same revision, no change after it.
func TestRestartIsSilent(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*testing.T, *Store){
		"from the log": func(*testing.T, *Store) {},
		"from a snapshot": func(t *testing.T, s *Store) {
			if err := s.Snapshot(patience(t)); err != nil {
				t.Fatal(err)
			}
			// Nothing new: a success too.
			if err := s.Snapshot(patience(t)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{NodeID: "n1", Dir: t.TempDir(), Bootstrap: true, APIAddress: "192.0.2.1:8443", Raft: quick()}
			cfg.Raft.SnapshotInterval = time.Hour
			s := open(t, cfg, true)
			apply(t, s, withID(createPool("p1"), "q1"))
			apply(t, s, createHost("h1", "p1"))
			before(t, s)
			want := dump(s.View())
			term, revision := s.Term(), s.View().Revision()
			closeStore(t, s)

			s = open(t, cfg, true)
			if diff := cmp.Diff(want, dump(s.View())); diff != "" {
				t.Errorf("state after the restart:\n%s", diff)
			}
			if s.Term() <= term {
				t.Errorf("term %d after %d", s.Term(), term)
			}
			if got := s.View().Revision(); got != revision {
				t.Errorf("revision %d, was %d", got, revision)
			}
			sub, err := s.Subscribe(revision)
			if err != nil {
				t.Fatal(err)
			}
			r := apply(t, s, createPool("p2"))
			if set, err := sub.Next(patience(t)); err != nil || set.Revision != r.Revision {
				t.Errorf("the first change after the restart is %d (%v), want %d", set.Revision, err, r.Revision)
			}
			if r := apply(t, s, withID(createPool("p1"), "q1")); !r.Duplicate {
				t.Error("a request from before the restart was repeated")
			}
		})
	}
}

// dump is a state as text, without its revision.
func dump(v *View) map[string]string {
	out := map[string]string{"cluster": v.ClusterUUID()}
	for i := range resources {
		for key, m := range rowsOf(v, &resources[i]) {
			data, _ := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			out[resources[i].name+" "+key] = string(data)
		}
	}
	return out
}

// The log is cut after snapshots, and the state outlives it.
func TestSnapshotAndTruncation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSingle(t, dir)
	apply(t, s, createPool("p1"))
	ctx := patience(t)
	for i := 0; ; i++ {
		first, err := s.disk.wal.FirstIndex()
		if err != nil || ctx.Err() != nil {
			t.Fatalf("the log was never cut: %v %v", err, ctx.Err())
		}
		if first > 100 {
			break
		}
		apply(t, s, putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: strings.Repeat("x", 1+i%100)}, false))
	}
	want := dump(s.View())
	closeStore(t, s)
	s = openSingle(t, dir)
	if diff := cmp.Diff(want, dump(s.View())); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Subscribe(1); !errors.Is(err, ErrCompacted) {
		t.Errorf("Subscribe(1) = %v, want ErrCompacted", err)
	}
}

func TestApplyErrors(t *testing.T) {
	t.Parallel()
	s := openSingle(t, t.TempDir())
	var invalid *InvalidError
	for name, c := range map[string]*storev1.Command{"nil": nil, "no body": {}} {
		if _, err := s.Apply(patience(t), c); !errors.As(err, &invalid) || invalid.Field != "body" {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	var missing *NotFoundError
	if _, err := s.Apply(patience(t), deletePool("p9", "")); !errors.As(err, &missing) {
		t.Errorf("err = %v, want a NotFoundError", err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Apply(cancelled, createPool("p1")); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("err = %v, want a plain context.Canceled", err)
	}
	if _, err := s.ReadView(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadView: %v", err)
	}
	if s.View().Pool("p1") != nil {
		t.Error("a cancelled command was written")
	}
	for _, c := range []struct{ err, want error }{
		{raft.ErrEnqueueTimeout, ErrBusy}, {raft.ErrNotLeader, ErrNotLeader}, {raft.ErrLeadershipTransferInProgress, ErrNotLeader},
		{raft.ErrLeadershipLost, ErrUnknownOutcome}, {raft.ErrRaftShutdown, ErrUnknownOutcome}, {errors.New("disk full"), ErrUnknownOutcome},
	} {
		if got := s.proposalError(c.err); !errors.Is(got, c.want) {
			t.Errorf("%v becomes %v, want %v", c.err, got, c.want)
		}
	}
}

// UUIDs are made where a resource is new, and nowhere else.
func TestStamp(t *testing.T) {
	t.Parallel()
	s := &Store{cfg: Config{Now: time.Now, NewUUID: func() string { return "made" }}}
	for name, c := range map[string]struct {
		cmd  *storev1.Command
		want string
	}{
		"pool":                   {putPool(&poolwirev1.Pool{}, true), "made"},
		"pool, given":            {putPool(&poolwirev1.Pool{Uuid: "given"}, true), "given"},
		"pool, update":           {putPool(&poolwirev1.Pool{}, false), ""},
		"host":                   {putHost(&poolwirev1.Host{}, true), "made"},
		"host, update":           {putHost(&poolwirev1.Host{}, false), ""},
		"private network":        {putPrivate(&poolwirev1.PrivateNetwork{}, true), "made"},
		"private network update": {putPrivate(&poolwirev1.PrivateNetwork{}, false), ""},
		"rule":                   {putRule(&poolwirev1.Rule{}, create), "made"},
		"rule, replace":          {putRule(&poolwirev1.Rule{}, replace), "made"},
		"rule, update":           {putRule(&poolwirev1.Rule{}, update), ""},
		"VIF":                    {putVif(&poolwirev1.Vif{}, true), ""},
		"nothing":                {putPool(nil, true), ""},
	} {
		got := s.stamp(c.cmd, meaningNow)
		uuid := ""
		for _, u := range []string{got.GetPutPool().GetPool().GetUuid(), got.GetPutHost().GetHost().GetUuid(),
			got.GetPutPrivateNetwork().GetPrivateNetwork().GetUuid(), got.GetPutRule().GetRule().GetUuid(), got.GetPutVif().GetVif().GetUuid()} {
			uuid += u
		}
		if uuid != c.want || got.GetTime() == nil {
			t.Errorf("%s: uuid %q, time %v", name, uuid, got.GetTime())
		}
	}
}

// A node whose state machine stops says so and leaves the cluster.
func TestStoreStops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSingle(t, dir)
	apply(t, s, createPool("p1"))
	unknown := []byte{0x82, 0x7d, 0x00}
	f := s.raft.Apply(unknown, time.Second)
	if err := f.Error(); err == nil {
		if r := f.Response().(response); !errors.Is(r.err, ErrStopped) {
			t.Errorf("response %v", r.err)
		}
	}
	select {
	case <-s.Failed():
	case <-patience(t).Done():
		t.Fatal("Failed is not closed")
	}
	if !errors.Is(s.Err(), ErrStopped) {
		t.Errorf("Err = %v", s.Err())
	}
	if _, err := s.Apply(patience(t), createPool("p2")); !errors.Is(err, ErrStopped) {
		t.Errorf("Apply = %v", err)
	}
	closeStore(t, s)
	// Starting it again does not help, and does not skip the entry either.
	s = open(t, Config{NodeID: "n1", Dir: dir, Raft: quick()}, false)
	select {
	case <-s.Failed():
	case <-patience(t).Done():
		t.Fatal("the entry was skipped")
	}
}

// One node leads well before the heartbeat timeout, new and restarted alike.
func TestSingleNodeLeadsAtOnce(t *testing.T) {
	t.Parallel()
	cfg := Config{NodeID: "n1", Dir: t.TempDir(), Bootstrap: true, Raft: quick()}
	cfg.Raft.HeartbeatTimeout = time.Hour // would be waited out at least once
	for _, what := range []string{"new", "restarted"} {
		start := time.Now()
		s := open(t, cfg, true)
		t.Logf("%s: leading after %s", what, time.Since(start))
		closeStore(t, s)
	}
}

// Readers share rounds, and none takes part in one that started before it asked.
func TestRoundsAreShared(t *testing.T) {
	t.Parallel()
	start, finish := make(chan int), make(chan error)
	held := 0
	v := rounds[int]{round: func() (int, error) {
		held++
		start <- held
		return held, <-finish
	}}
	got := make(chan error, 100)
	ask := func() {
		n, err := v.wait(context.Background())
		if err == nil && n != 2 {
			err = fmt.Errorf("the answer of round %d", n)
		}
		got <- err
	}
	go ask()
	if n := <-start; n != 1 {
		t.Fatalf("round %d", n)
	}
	for range 10 {
		go ask()
	}
	waitFor(t, func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.next != nil && v.next.waiting == 10
	})
	finish <- errors.New("round 1")
	if err := <-got; err.Error() != "round 1" {
		t.Errorf("the first reader got %v", err)
	}
	if n := <-start; n != 2 {
		t.Fatalf("round %d", n)
	}
	finish <- nil
	for range 10 {
		if err := <-got; err != nil {
			t.Errorf("a reader of round 2 got %v", err)
		}
	}
	if held != 2 {
		t.Errorf("%d rounds", held)
	}
}

// waitFor polls for what has no channel.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	ctx := patience(t)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("what the test waits for did not happen")
		}
	}
}

// Many writers and readers at once: every reader sees every write that was
// acknowledged before it asked.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := openSingle(t, t.TempDir())
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 20 {
				r, err := s.Apply(patience(t), putPool(&poolwirev1.Pool{NameLabel: s.cfg.NewUUID()}, true))
				if err != nil {
					t.Error(err)
					return
				}
				v, err := s.ReadView(patience(t))
				if err != nil || v.Revision() < r.Revision || v.Pool(r.UUIDs[0]) == nil {
					t.Errorf("read at %d after a write at %d: %v", v.Revision(), r.Revision, err)
					return
				}
			}
		})
	}
	work.Wait()
	if n := len(s.View().Pools()); n != 160 {
		t.Errorf("%d pools", n)
	}
}
