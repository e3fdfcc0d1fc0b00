package raftstore

import (
	"sync"

	"github.com/hashicorp/raft"
)

// heartbeats are what leaders tell this node on their connections. Raft takes them as they come, not in
// its main loop, and writes down the term of a new leader: also after it has ended, and a
// write that fails then is a panic. So that the disk can be closed, they end first.
type heartbeats struct {
	mu    sync.RWMutex // held for reading while one is taken
	ended bool         // guarded by mu
}

// end waits for those under way, and has later ones refused.
func (h *heartbeats) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
}

// take has Raft answer a heartbeat, or refuses it.
func (h *heartbeats) take(rpc raft.RPC, raftTakes func(raft.RPC)) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.ended {
		rpc.Respond(nil, raft.ErrRaftShutdown)
		return
	}
	raftTakes(rpc)
}

// endingTransport takes heartbeats until they are ended.
type endingTransport struct {
	transport
	heartbeats *heartbeats
}

// SetHeartbeatHandler says who answers heartbeats (raft.Transport).
func (e endingTransport) SetHeartbeatHandler(take func(raft.RPC)) {
	if take == nil {
		e.transport.SetHeartbeatHandler(nil)
		return
	}
	e.transport.SetHeartbeatHandler(func(rpc raft.RPC) { e.heartbeats.take(rpc, take) })
}
