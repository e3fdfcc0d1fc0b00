package daemon

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

// dialPlain connects without TLS.
func dialPlain(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// slow is the address of a node that answers when it is let.
func slow(t *testing.T, asked, answer chan struct{}) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, call grpc.ServerStream) error {
		close(asked)
		select {
		case <-answer:
			return call.SendMsg(&emptypb.Empty{})
		case <-call.Context().Done():
			return call.Context().Err()
		}
	}))
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return l.Addr().String()
}

// A connection that is used stays open however many other nodes are asked meanwhile.
func TestPeerInUseStaysOpen(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	p := newPeers(dialPlain)
	defer p.close()
	conn, release, err := p.Reach(slow(t, asked, answer))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer release()
		done <- conn.Invoke(ctx, "/test.Leader/Ask", &emptypb.Empty{}, &emptypb.Empty{})
	}()
	<-asked
	for i := range 2 * maxPeers {
		_, release, err := p.Reach(fmt.Sprintf("192.0.2.1:%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	if len(p.conns) > maxPeers {
		t.Errorf("%d connections are kept", len(p.conns))
	}
	close(answer)
	if err := <-done; err != nil {
		t.Errorf("a call under way: %v", err)
	}
	for i := range maxPeers {
		_, release, err := p.Reach(fmt.Sprintf("192.0.2.2:%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	if got := conn.(*grpc.ClientConn).GetState(); got != connectivity.Shutdown {
		t.Errorf("a connection that nobody uses, among too many, is %v", got)
	}
}

// Connections are bounded also when all are in use.
func TestPeersAreBounded(t *testing.T) {
	t.Parallel()
	p := newPeers(dialPlain)
	defer p.close()
	var last func()
	for i := range maxPeers {
		_, release, err := p.Reach(fmt.Sprintf("192.0.2.1:%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		last = release
	}
	if _, _, err := p.Reach("192.0.2.2:1"); err == nil {
		t.Error("one more is taken")
	}
	last()
	last()
	_, release, err := p.Reach("192.0.2.2:1")
	if err != nil {
		t.Fatalf("after one was released: %v", err)
	}
	release()
}
