package raftstore

import (
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// Only members are let in, but by a node that has no configuration, and whom others name as the leader to one that
// hears none; the leader stays that took it in. An address leads only to the node that has it.
func TestStreamChecksWhoSpeaks(t *testing.T) {
	t.Parallel()
	servers := []raft.Server{{ID: "n1"}, {ID: "n2", Address: "x"}}
	vouched, leader := "", ""
	r := &roster{servers: func() []raft.Server { return servers }, leader: func() string { return leader }, vouched: func() string { return vouched }}
	if !r.admits("n2") || r.admits("n3") || r.idAt("x") != "n2" || r.idAt("y") != "" {
		t.Error("a stranger is admitted, or a member is not")
	}
	if vouched = "n3"; !r.admits("n3") || r.admits("n4") || r.admits("") {
		t.Error("not only whom others name as the leader can take this node back")
	}
	if vouched, leader = "", "n3"; !r.admits("n3") || r.admits("n4") {
		t.Error("not only who has taken this node back is listened to")
	}
	if leader = "n1"; r.admits("n3") {
		t.Error("a stranger is listened to beside a leader")
	}
	member := servers
	if servers = nil; !r.admits("n3") {
		t.Error("nobody can take this node in")
	}
	servers = member

	a, b := newWire(t), newWire(t)
	t.Cleanup(func() { _ = errors.Join(a.Close(), b.Close()) })
	servers[1].Address = raft.ServerAddress(b.Addr().String())
	who := "n3"
	s := newStream(a, func(net.Conn) (string, error) { return who, nil }, slog.New(slog.DiscardHandler))
	if err := s.admit(who); err == nil {
		t.Error("somebody is let in before Raft runs")
	}
	s.members.Store(r)
	if err := s.admit(who); err == nil {
		t.Error("a stranger is let in")
	}
	if _, err := s.Dial(servers[1].Address, time.Second); err == nil {
		t.Error("the node at n2's address says it is n3, and is believed")
	}
	who = "n2"
	if err := s.admit(who); err != nil {
		t.Errorf("a member: %v", err)
	}
	conn, err := s.Dial(servers[1].Address, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
