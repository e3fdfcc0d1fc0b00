package cli

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwire "poolwire/client"
)

// ofCredentials says of an error of the handshake which flag's file is the cause, and what to do.
func (f *globalFlags) ofCredentials(err error) error {
	switch reasonOf(err) {
	case poolwire.ReasonRefused:
		return status.Error(codes.Unauthenticated, fmt.Sprintf("%s %q: the controller does not accept this client's certificate: it is revoked, has ended, "+
			"was signed by a CA that is gone, or is not one for clients. Have another one issued (poolwire pki issue client).", f.origin("cert", "CERT"), f.cert))
	case poolwire.ReasonUntrusted:
		return status.Error(codes.Unauthenticated, fmt.Sprintf("%s %q: no CA of this file has signed the certificate of %s. "+
			"If the controller's CA was replaced, get the present ca.pem from pki_dir of a node; else somebody else answers there.", f.origin("ca", "CA"), f.ca, f.server))
	}
	return err
}
