package northbound

import (
	"crypto/x509"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"poolwire/northbound/opshttp"
	"poolwire/pki"
)

// MayReadMetrics says why a request by HTTPS may not read the metrics, which tell of all pools: who asks needs the role
// read-only in the whole cluster, by a client's certificate or by a token ("Authorization: Bearer TOKEN"), which decides
// alone where one comes. certificates are those that the handshake has verified. Errors: [opshttp.ErrNoCredentials]
// for who proves nothing.
func (s *Server) MayReadMetrics(r *http.Request, certificates []*x509.Certificate) error {
	who, err := s.scraper(r, certificates)
	if err != nil {
		s.usage.turnedAway.WithLabelValues(status.Code(err).String()).Inc()
		return opshttp.ErrNoCredentials
	}
	if err := s.usage.begin(who); err != nil {
		return err
	}
	if rightsOf(s.cfg.Store.View(), who).role < RoleReadOnly {
		return status.Errorf(codes.PermissionDenied, "metrics need the role %s in the whole cluster, which %q does not have", RoleReadOnly, who)
	}
	return nil
}

// scraper finds out who asks.
func (s *Server) scraper(r *http.Request, certificates []*x509.Certificate) (Identity, error) {
	if headers := r.Header.Values(tokenKey); len(headers) > 0 {
		return s.bearer(headers, r.RemoteAddr)
	}
	if len(certificates) == 0 {
		return Identity{}, status.Error(codes.Unauthenticated, "neither a client certificate nor a token was presented")
	}
	who, err := s.cfg.Identify(certificates[0])
	if err == nil && who.Role == RoleNode {
		err = status.Error(codes.Unauthenticated, "nodes read no metrics")
	}
	who.Credential, who.Address = "certificate "+pki.Serial(certificates[0]), r.RemoteAddr
	return who, err
}
