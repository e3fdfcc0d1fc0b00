package client

import (
	"context"
)

// bearer sends a token with every call (credentials.PerRPCCredentials, RFC 6750 section 2.1).
type bearer struct {
	token string
	// secured is false for sockets of this machine.
	secured bool
}

// GetRequestMetadata returns the header of a call.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.token}, nil
}

// RequireTransportSecurity keeps gRPC from sending the token in clear.
func (b bearer) RequireTransportSecurity() bool { return b.secured }
