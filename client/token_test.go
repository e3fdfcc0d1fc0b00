package client_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"poolwire/client"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// TestToken: a token goes with every call over a socket, and over no connection that others can read.
func TestToken(t *testing.T) {
	t.Parallel()
	var got []string
	n := start(t, &node{answer: func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		got = md.Get("authorization")
		return nil
	}})
	list := func(cfg client.Config) error {
		c, err := client.New(cfg)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err = poolwirev1.NewPoolServiceClient(c).ListPools(ctx, &poolwirev1.ListPoolsRequest{})
		return err
	}
	if err := list(client.Config{Endpoints: []string{n.endpoint}, Token: "pwt_1_2"}); err != nil || strings.Join(got, " ") != "Bearer pwt_1_2" {
		t.Errorf("%v, %q", err, got)
	}
	if err := list(client.Config{Endpoints: []string{"127.0.0.1:1"}, Token: "pwt_1_2"}); err == nil {
		t.Error("an address was taken without TLS")
	}
	plain := client.Config{Endpoints: []string{"127.0.0.1:1"}, Token: "pwt_1_2", TLS: &tls.Config{MinVersion: tls.VersionTLS13}, Rounds: 1,
		Options: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}}
	if err := list(plain); err == nil || !strings.Contains(err.Error(), "transport") {
		t.Errorf("a token in plain: %v", err)
	}
}
