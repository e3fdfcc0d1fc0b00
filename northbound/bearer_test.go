package northbound

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	v1 "poolwire/proto/poolwire/v1"
)

// identifyFrom comes with a token from an address.
func identifyFrom(s *Server, ip, token string) error {
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}, AuthInfo: credentials.TLSInfo{}})
	_, err := s.identify(metadata.NewIncomingContext(ctx, metadata.Pairs(tokenKey, "Bearer "+token)))
	return err
}

// Whoever has a network of IPv6 is one who tries tokens, not one for each of its addresses; nor are others forgotten for them.
func TestWrongTokensOfOneNetworkAreCountedTogether(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	s := newServer(t, serverConfig(f.store, f.live))
	tried := func(ip string) codes.Code { return status.Code(identifyFrom(s, ip, "x")) }
	for range maxRefused {
		if got := tried("192.0.2.1"); got != codes.Unauthenticated {
			t.Fatalf("a wrong token: %s", got)
		}
	}
	for n := range maxRefusedFrom + 1 {
		got, want := tried(fmt.Sprintf("2001:db8::%x", n)), codes.ResourceExhausted
		if n < maxRefused {
			want = codes.Unauthenticated
		}
		if got != want {
			t.Fatalf("wrong token %d of a network: %s, want %s", n, got, want)
		}
	}
	for ip, want := range map[string]codes.Code{"192.0.2.1": codes.ResourceExhausted, "::ffff:192.0.2.1": codes.ResourceExhausted, "2001:db8:0:1::1": codes.Unauthenticated} {
		if got := tried(ip); got != want {
			t.Errorf("one more from %s: %s, want %s", ip, got, want)
		}
	}
	if got := len(s.tokenRefusals.from); got != 3 {
		t.Errorf("%d origins are remembered, want 3", got)
	}
}

// A node forgets when it saw tokens that were revoked on another one.
func TestUseOfRevokedTokensIsForgotten(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	s := newServer(t, serverConfig(f.store, f.live)) // another node than the one that revokes
	use := func(secret string) {
		if err := identifyFrom(s, "192.0.2.1", secret); err != nil {
			t.Fatal(err)
		}
	}
	known := func() string {
		var out []string
		s.tokenUse.at.Range(func(id, _ any) bool {
			out = append(out, id.(string))
			return true
		})
		return strings.Join(out, " ")
	}
	gone, first := f.token("ui", nil)
	use(first)
	if got := known(); got != gone {
		t.Errorf("seen %q, want %q", got, gone)
	}
	if _, err := v1.NewTokenServiceClient(f.conn).DeleteToken(f.ctx, &v1.DeleteTokenRequest{Id: gone}); err != nil {
		t.Fatal(err)
	}
	kept, second := f.token("ui", nil)
	use(second)
	if got := known(); got != kept {
		t.Errorf("seen %q, want %q", got, kept)
	}
	_, third := f.token("ui", nil)
	use(third)
	if _, ok := s.tokenUse.of(kept); !ok {
		t.Error("a token that is good was forgotten")
	}
}
