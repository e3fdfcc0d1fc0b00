package northbound

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"poolwire/northbound/opshttp"
	"poolwire/pki"
)

// scrapeMethod is what the log and the audit call a request for the metrics.
const scrapeMethod = "GET /metrics"

// MayReadMetrics says why a request by HTTPS may not read the metrics, which tell of all pools: who asks needs the role
// read-only in the whole cluster, by a client's certificate or by a token ("Authorization: Bearer TOKEN"), which decides
// alone where one comes. certificates are those that the handshake has verified. Errors: [opshttp.ErrNoCredentials]
// for who proves nothing, which is recorded as calls of such callers are.
func (s *Server) MayReadMetrics(r *http.Request, certificates []*x509.Certificate) error {
	ctx, c := r.Context(), &call{method: scrapeMethod, begin: time.Now()}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		ctx = peer.NewContext(ctx, &peer.Peer{Addr: net.TCPAddrFromAddrPort(at)})
	}
	who, err := s.scraper(r, certificates)
	if err != nil {
		s.turnedAway(ctx, c, err)
		return opshttp.ErrNoCredentials
	}
	c.who = who
	err = s.usage.begin(who)
	if err == nil && rightsOf(s.cfg.Store.View(), who).role < RoleReadOnly {
		err = status.Errorf(codes.PermissionDenied, "metrics need the role %s in the whole cluster, which %q does not have", RoleReadOnly, who)
	}
	s.logCall(ctx, c, err)
	return err
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
	who.Credential, who.Address = credentialCertificate+pki.Serial(certificates[0]), r.RemoteAddr
	return who, err
}
