package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// Reasons in google.rpc.ErrorInfo, domain poolwire, of errors that this package makes itself, with code Unauthenticated: client
// and node do not take each other for what they say they are, so that no call was sent.
const (
	// ReasonRefused says that a node does not accept the client's certificate.
	ReasonRefused = "CERTIFICATE_REFUSED"
	// ReasonUntrusted says that the client does not trust the CA of the one that answers as a node.
	ReasonUntrusted = "CONTROLLER_UNTRUSTED"
)

// What a connection fails with for those reasons. gRPC keeps nothing of such an error but its text.
var (
	errRefused   = errors.New("poolwire: the node does not accept this client's certificate")
	errUntrusted = errors.New("poolwire: the node's certificate is of a CA that this client does not trust")
)

// judged is TLS whose errors tell whether a certificate was the cause.
type judged struct {
	credentials.TransportCredentials
}

// ClientHandshake is that of TLS.
func (j judged) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := j.TransportCredentials.ClientHandshake(ctx, authority, raw)
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return nil, nil, fmt.Errorf("%w: %w", errUntrusted, err)
	case err != nil:
		return nil, nil, refusal(err)
	}
	return &verdict{Conn: conn}, info, nil
}

// Clone keeps gRPC from losing the wrapper.
func (j judged) Clone() credentials.TransportCredentials {
	return judged{j.TransportCredentials.Clone()}
}

// verdict is a connection after the client's side of the handshake. With TLS 1.3 the server judges the client's certificate
// only then: the client reads an alert in place of the first frame (RFC 8446, section 6.2), if it does not write first and
// finds the connection closed. What a write finds is the lesser news, and is left to the reader.
type verdict struct {
	net.Conn
	// heard says that the server has sent data, and so has accepted the client.
	heard atomic.Bool
}

// Read is that of the connection; its error tells of a refusal.
func (v *verdict) Read(b []byte) (int, error) {
	n, err := v.Conn.Read(b)
	if n > 0 {
		v.heard.Store(true)
	}
	if err != nil && !v.heard.Load() {
		err = refusal(err)
	}
	return n, err
}

// Write is that of the connection, but does not complain that the server has closed it before a word: the alert that it sent
// before waits to be read, and without one the reader finds the end.
func (v *verdict) Write(b []byte) (int, error) {
	n, err := v.Conn.Write(b)
	if !v.heard.Load() && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)) {
		return len(b), nil
	}
	return n, err
}

// refusal is err, or errRefused when that is what it says.
func refusal(err error) error {
	var alert *net.OpError
	if !errors.As(err, &alert) || alert.Op != "remote error" {
		return err
	}
	about := []string{"bad certificate", "revoked certificate", "expired certificate", "unknown certificate", "certificate required", "unsupported certificate"}
	if slices.ContainsFunc(about, func(text string) bool { return strings.HasPrefix(alert.Err.Error(), "tls: "+text) }) {
		return errRefused
	}
	return err
}

// atTheDoor gives the error of a connection that did not come about because of a certificate its reason; others it returns
// as they are.
func atTheDoor(err error) error {
	st := status.Convert(err)
	if st.Code() != codes.Unavailable || len(st.Details()) > 0 {
		return err
	}
	for reason, cause := range map[string]error{ReasonRefused: errRefused, ReasonUntrusted: errUntrusted} {
		if !strings.Contains(st.Message(), cause.Error()) {
			continue
		}
		said := status.New(codes.Unauthenticated, strings.TrimPrefix(cause.Error(), "poolwire: "))
		if with, err := said.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: errorDomain}); err == nil {
			said = with
		}
		return said.Err()
	}
	return err
}

// weightier is the error to tell when two nodes have failed in different ways: that one does not answer hides no refusal
// of another.
func weightier(earlier, later error) error {
	if reason := reasonOf(earlier); (reason == ReasonRefused || reason == ReasonUntrusted) && status.Code(later) == codes.Unavailable {
		return earlier
	}
	return later
}
