package northbound

import (
	"context"
	"runtime"
	"sync/atomic"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
)

// gRPC takes an answer to a unary call at once, however long it is, and queues it until the client makes room
// (RFC 9113, section 5.2); the call is over for the handler then. Nothing of gRPC's says when an answer has left the
// queue but the buffers that it is in: they go back to their pool once they are written, or dropped with
// their stream. So unreadCodec makes buffers of a pool that counts.

// answerPiece is what a client has to take of an answer to be given time for the next one: a frame's worth
// (RFC 9113, section 4.2), which is what gRPC writes of each stream in turn.
const answerPiece = 16 << 10

// answer is a message to a client that is counted until the client has taken it.
type answer struct {
	proto.Message
	debt *debt
}

type connectionKey struct{}

// pieces are the buffers of one answer and the pool that each of them goes back to (mem.BufferPool).
type pieces struct {
	debt  *debt
	whole *[]byte
	left  atomic.Int32
}

// Get returns a buffer that is not one of the answer's (mem.BufferPool).
func (p *pieces) Get(length int) *[]byte { return mem.DefaultBufferPool().Get(length) }

// Put says that the client has taken a piece, or never will (mem.BufferPool).
func (p *pieces) Put(*[]byte) {
	if p.left.Add(-1) > 0 {
		p.debt.goesOn()
		return
	}
	p.debt.settle()
	mem.DefaultBufferPool().Put(p.whole)
}

// unreadCodec is gRPC's codec, and puts answers on the accounts of those who are to read them.
type unreadCodec struct{ encoding.CodecV2 }

func newUnreadCodec() unreadCodec { return unreadCodec{encoding.GetCodecV2(protocodec.Name)} }

// Marshal encodes a message (encoding.CodecV2).
func (c unreadCodec) Marshal(v any) (mem.BufferSlice, error) {
	a, ok := v.(*answer)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	pool := mem.DefaultBufferPool()
	whole := pool.Get(a.debt.size)
	data, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend((*whole)[:0], a.Message)
	if err != nil {
		pool.Put(whole)
		a.debt.settle()
		return nil, err
	}
	n := max(len(data)/answerPiece, 1)
	p := &pieces{whole: whole, debt: a.debt}
	p.left.Store(int32(n))
	// A stream that its client resets in just this moment may never see the answer, nor say so: gRPC forgets it then
	// without giving it back.
	runtime.AddCleanup(p, (*debt).settle, p.debt)
	parts, out := make([][]byte, n), make(mem.BufferSlice, n)
	for i := range n {
		end := (i + 1) * answerPiece
		if i == n-1 {
			end = len(data) // no short piece is left, which would belong to no pool
		}
		parts[i] = data[i*answerPiece : end]
		out[i] = mem.NewBuffer(&parts[i], p)
	}
	return out, nil
}

// connections knows the connections to the API (stats.Handler).
type connections struct{ server *Server }

// TagConn begins the account of a connection.
func (h connections) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	c := &connection{usage: h.server.usage, log: h.server.log, unread: map[*account]int{}, debts: map[*debt]struct{}{}}
	if p, ok := peer.FromContext(ctx); ok {
		c.remote = p.Addr
		c.ender, _ = p.AuthInfo.(ender)
	}
	return context.WithValue(ctx, connectionKey{}, c)
}

// HandleConn sees that a connection begins or is gone. Of the latter gRPC does not give back what was queued.
func (connections) HandleConn(ctx context.Context, what stats.ConnStats) {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return
	}
	switch what.(type) {
	case *stats.ConnBegin:
		c.usage.mu.Lock()
		c.usage.connections[c] = struct{}{}
		c.usage.mu.Unlock()
	case *stats.ConnEnd:
		c.usage.mu.Lock()
		delete(c.usage.connections, c)
		c.usage.mu.Unlock()
		c.gone()
	}
}

// TagRPC changes nothing.
func (connections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC does nothing.
func (connections) HandleRPC(context.Context, stats.RPCStats) {}
