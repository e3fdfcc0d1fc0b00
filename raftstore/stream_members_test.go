package raftstore

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// named is a wire whose connections begin with who has made them: two bytes.
type named struct {
	*wire
	id  string
	ids *sync.Map // who has which address
}

// namedConn knows who is at the other end.
type namedConn struct {
	net.Conn
	peer string
}

func (n named) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	c, err := n.wire.Dial(address, timeout)
	if err != nil {
		return nil, err
	}
	peer, _ := n.ids.Load(string(address))
	if _, err := io.WriteString(c, n.id); err != nil {
		return nil, err
	}
	return namedConn{c, peer.(string)}, nil
}

// Accept passes over who says nothing: after an error Raft's transport waits before it accepts another one, and what comes
// meanwhile would be heard when it is long over.
func (n named) Accept() (net.Conn, error) {
	for {
		c, err := n.wire.Accept()
		if err != nil {
			return nil, err
		}
		who := make([]byte, 2)
		if _, err := io.ReadFull(c, who); err == nil {
			return namedConn{c, string(who)}, nil
		}
		_ = c.Close()
	}
}

// says connects to a node as another one.
func (n *node) says(t *testing.T, id string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", n.wire.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, id); err != nil {
		t.Fatal(err)
	}
	return c
}

// ended waits until the other side has ended a connection.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is not ended: %v", err)
	}
}

// A follower listens to members alone, and to each for as long as it is one: connections that it has of a node that is
// removed are ended, also one on which nothing comes, and no others are taken.
func TestRemovedIsNotListenedTo(t *testing.T) {
	t.Parallel()
	ids := &sync.Map{}
	var nodes []*node
	for _, id := range []string{"n1", "n2", "n3"} {
		n := startNodeWith(t, id, id == "n1", steady, func(c *Config) {
			w := c.Stream.(*wire)
			ids.Store(w.Addr().String(), id)
			c.Stream = named{w, id, ids}
			c.PeerID = func(c net.Conn) (string, error) { return c.(namedConn).peer, nil }
		})
		if nodes = append(nodes, n); id != "n1" {
			n.join(t, nodes[0])
		}
	}
	leader, follower := nodes[0], nodes[1]
	follower.reaches(t, apply(t, leader.Store, createPool("p1")).Revision)
	ended(t, follower.says(t, "n9"))
	silent := follower.says(t, "n3")
	waitFor(t, func() bool {
		follower.stream.mu.Lock()
		defer follower.stream.mu.Unlock()
		for a := range follower.stream.conns {
			if a.id == "n3" && a.RemoteAddr().String() == silent.LocalAddr().String() {
				return true
			}
		}
		return false
	})
	if err := leader.RemoveNode(patience(t), "n3"); err != nil {
		t.Fatal(err)
	}
	ended(t, silent)
	ended(t, follower.says(t, "n3"))
	follower.reaches(t, apply(t, leader.Store, createPool("p2")).Revision)
}

// A node that hears no leader listens to one that it does not know when a member says that it follows that, to nobody on his own
// word, however long it hears none, and to members alone once it hears one again.
func TestUnknownLeaderIsVouchedFor(t *testing.T) {
	t.Parallel()
	b := newSwitchboard()
	var answering atomic.Bool
	n1 := b.start(t, "n1", true)
	away := startNodeWith(t, "n2", false, brisk, func(c *Config) {
		c.PeerID = func(net.Conn) (string, error) { return "n1", nil }
		c.Introducers = []string{"api of another cluster"}
		c.AskNode = func(ctx context.Context, api string) (*poolwirev1.NodeStatus, error) {
			switch {
			case !answering.Load():
				return nil, errors.New("nobody answers")
			case api == "api of another cluster":
				return &poolwirev1.NodeStatus{Node: &poolwirev1.Node{Id: "n7"}, ClusterUuid: "another", LeaderId: "n7", LastTerm: 99}, nil
			}
			return b.ask(ctx, api)
		}
	})
	b.learn(t, away, n1, func(n *poolwirev1.Node) { n.StaysLearner = true })
	away.reaches(t, apply(t, n1.Store, createPool("p1")).Revision)
	b.lie("n1", func(s *poolwirev1.NodeStatus) { s.LeaderId = "n4" })

	away.wire.pull()
	waitFor(t, func() bool { return away.vouched.Load() != nil })
	if away.stream.admit("n4") == nil {
		t.Error("a leader that nobody vouches for is listened to")
	}
	answering.Store(true)
	waitFor(t, func() bool { return away.stream.admit("n4") == nil })
	if away.stream.admit("n9") == nil || away.stream.admit("n7") == nil {
		t.Error("somebody else is listened to")
	}
	away.wire.plug()
	away.reaches(t, apply(t, n1.Store, createPool("p2")).Revision)
	waitFor(t, func() bool { return away.stream.admit("n4") != nil })
}

// What a node sends on a connection that it has already is not read when it is a member no more.
func TestRemovedIsNotRead(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	t.Cleanup(func() { _ = w.Close() })
	var mu sync.Mutex
	servers := []raft.Server{{ID: "n1"}, {ID: "n2"}}
	s := newStream(named{wire: w}, func(c net.Conn) (string, error) { return c.(namedConn).peer, nil }, slog.New(slog.DiscardHandler))
	s.members.Store(&roster{leader: func() string { return "n1" }, vouched: func() string { return "" }, servers: func() []raft.Server {
		mu.Lock()
		defer mu.Unlock()
		return servers
	}})
	peer := (&node{wire: w}).says(t, "n2")
	conn, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	say := func() (int, error) {
		t.Helper()
		if _, err := io.WriteString(peer, "x"); err != nil {
			t.Fatal(err)
		}
		return conn.Read(make([]byte, 1))
	}
	if n, err := say(); n != 1 || err != nil {
		t.Errorf("a member: %d, %v", n, err)
	}
	mu.Lock()
	servers = servers[:1]
	mu.Unlock()
	if n, err := say(); n != 0 || err == nil {
		t.Errorf("what was a member is read still: %d, %v", n, err)
	}
	ended(t, peer)
}
