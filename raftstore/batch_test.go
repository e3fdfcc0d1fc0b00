package raftstore

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// logged is a command as an entry of the log.
func logged(t tester, index, term uint64, c *storev1.Command) *raft.Log {
	t.Helper()
	c = proto.CloneOf(c)
	c.Time, c.Meaning = timestamppb.New(time.Unix(int64(1_700_000_000+index), 0)), meaningNow
	data, err := proto.Marshal(c)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	return &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: data}
}

// TestBatchesMakeNoDifference: nodes put entries together as they come, and agree all the same
// on the state, the answers and the change sets.
func TestBatchesMakeNoDifference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		one, many := newMachine(t), newMachine(t)
		var waiting []*raft.Log
		var want []response
		for i := range uint64(rapid.IntRange(1, 40).Draw(t, "commands")) {
			l := logged(t, i+1, 1, draw{t}.command(one.view()))
			if rapid.IntRange(0, 9).Draw(t, "no command") == 0 {
				l = &raft.Log{Index: i + 1, Term: 1, Type: raft.LogConfiguration}
				waiting, want = append(waiting, l), append(want, response{})
			} else {
				waiting, want = append(waiting, l), append(want, one.f.Apply(l).(response))
			}
			if rapid.IntRange(0, 4).Draw(t, "flush") == 0 {
				checkBatch(t, many, waiting, want)
				waiting, want = nil, nil
			}
		}
		checkBatch(t, many, waiting, want)
		if !bytes.Equal(one.snapshot(), many.snapshot()) {
			t.Fatal("the states differ")
		}
		if !reflect.DeepEqual(one.f.requests, many.f.requests) {
			t.Fatalf("%v and %v requests are remembered", one.f.requests, many.f.requests)
		}
		if diff := cmp.Diff(one.f.history.sets, many.f.history.sets, protocmp.Transform()); diff != "" {
			t.Fatalf("change sets (-one +many):\n%s", diff)
		}
	})
}

func checkBatch(t *rapid.T, m *machine, logs []*raft.Log, want []response) {
	t.Helper()
	got := m.f.ApplyBatch(logs)
	if len(got) != len(logs) {
		t.Fatalf("%d answers to %d entries", len(got), len(logs))
	}
	for i, l := range logs {
		if l.Type != raft.LogCommand {
			continue
		}
		r := got[i].(response)
		if diff := cmp.Diff(want[i].result, r.result); diff != "" || (want[i].err == nil) != (r.err == nil) || r.err != nil && r.err.Error() != want[i].err.Error() {
			t.Fatalf("entry %d: %v, want %v:\n%s", l.Index, r.err, want[i].err, diff)
		}
	}
}

// TestBatchStops: what comes before an entry that cannot be applied is done, what comes after
// it is not.
func TestBatchStops(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	got := m.f.ApplyBatch([]*raft.Log{
		logged(t, 1, 1, createPool("p1")), {Index: 2, Term: 1, Type: raft.LogCommand, Data: []byte{0xff}}, logged(t, 3, 1, createPool("p2")),
	})
	if err := got[0].(response).err; err != nil {
		t.Error(err)
	}
	for i := 1; i < 3; i++ {
		if err := got[i].(response).err; !errors.Is(err, ErrStopped) {
			t.Errorf("entry %d: %v", i+1, err)
		}
	}
	if v := m.view(); v.Pool("p1") == nil || v.Pool("p2") != nil || v.Revision() != 1 {
		t.Errorf("the state is at %d: %v", v.Revision(), v.Pools())
	}
}

// TestCommandOfAnotherTerm: a command does nothing in a term other than the one it was planned
// in, and a repeated one is told what came of it all the same.
func TestCommandOfAnotherTerm(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	planned := func(c *storev1.Command, term uint64) *storev1.Command {
		c = proto.CloneOf(c)
		c.Term = term
		return c
	}
	done := planned(withID(createPool("p1"), "q"), 4)
	for i, tt := range []struct {
		command *storev1.Command
		term    uint64
		refused bool
	}{
		{done, 4, false}, {planned(createPool("p2"), 4), 5, true}, {planned(createPool("p3"), 5), 5, false}, {createPool("p4"), 5, false}, {done, 6, false},
	} {
		r := m.f.Apply(logged(t, uint64(i+1), tt.term, tt.command)).(response)
		if errors.Is(r.err, ErrNotLeader) != tt.refused || r.err != nil && !tt.refused {
			t.Errorf("entry %d: %v", i+1, r.err)
		}
	}
	if v := m.view(); v.Pool("p1") == nil || v.Pool("p2") != nil || v.Pool("p3") == nil || v.Pool("p4") == nil || v.Revision() != 5 {
		t.Errorf("the state is at %d: %v", v.Revision(), v.Pools())
	}
}
