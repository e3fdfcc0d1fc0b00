package raftstore

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// The end of heartbeats waits for the one that is being taken, and what comes later is refused
// without Raft.
func TestHeartbeatsEnd(t *testing.T) {
	t.Parallel()
	_, under := raft.NewInmemTransport("")
	var h heartbeats
	var raftTakes func(raft.RPC)
	endingTransport{handlerOf{under, &raftTakes}, &h}.SetHeartbeatHandler(func(rpc raft.RPC) { rpc.Respond("taken", nil) })
	beat := func() raft.RPCResponse {
		answer := make(chan raft.RPCResponse, 1)
		raftTakes(raft.RPC{RespChan: answer})
		return <-answer
	}
	if r := beat(); r.Error != nil || r.Response != "taken" {
		t.Fatalf("before the end: %+v", r)
	}

	taking, take := make(chan struct{}), make(chan struct{})
	go h.take(raft.RPC{}, func(raft.RPC) {
		close(taking)
		<-take
	})
	<-taking
	ended := make(chan struct{})
	go func() {
		h.end()
		close(ended)
	}()
	select {
	case <-ended:
		t.Error("ended while a heartbeat was being taken")
	case <-time.After(50 * time.Millisecond):
	}
	close(take)
	<-ended
	if r := beat(); !errors.Is(r.Error, raft.ErrRaftShutdown) {
		t.Errorf("after the end: %+v", r)
	}
}

// handlerOf keeps the handler that a transport is given.
type handlerOf struct {
	transport
	to *func(raft.RPC)
}

func (h handlerOf) SetHeartbeatHandler(take func(raft.RPC)) { *h.to = take }
