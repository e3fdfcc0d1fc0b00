package northbound

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"poolwire/northbound/opshttp"
	v1 "poolwire/proto/poolwire/v1"
)

// Metrics are for who may read everything, whatever proves who it is.
func TestWhoReadsMetrics(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	server := newServer(t, serverConfig(s.store, s.live))
	s.grant("reader", RoleReadOnly, scopeCase{})
	s.grant("tenant", RolePoolAdmin, scopeCase{pool: paris})
	certificate := func(name, role string) []*x509.Certificate {
		c, err := x509.ParseCertificate(s.ca.config(name, role).Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{c}
	}
	_, readers := s.token("reader", nil)
	_, narrow := s.token("reader", func(t *v1.Token) { t.PoolUuid = paris })
	_, tenants := s.token("tenant", nil)
	const yes, no, unknown = "yes", "no", "unknown"
	for name, c := range map[string]struct {
		certificates []*x509.Certificate
		token        string
		want         string
	}{
		"nothing":                           {nil, "", unknown},
		"a role in the certificate":         {certificate("ada", "read-only"), "", yes},
		"no role":                           {certificate("nobody", "none"), "", no},
		"a grant for the cluster":           {certificate("reader", "none"), "", yes},
		"a grant for a pool":                {certificate("tenant", "none"), "", no},
		"a node":                            {certificate("n1", "node"), "", unknown},
		"a token":                           {nil, readers, yes},
		"a token for a pool":                {nil, narrow, no},
		"a token of a pool's administrator": {nil, tenants, no},
		"a token decides":                   {certificate("ada", "pool-admin"), tenants, no},
		"a wrong token":                     {certificate("ada", "pool-admin"), "x", unknown},
	} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		got := yes
		switch err := server.MayReadMetrics(r, c.certificates); {
		case errors.Is(err, opshttp.ErrNoCredentials):
			got = unknown
		case err != nil:
			got = no
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Who tries tokens on the metrics shows in the audit and in the log, as on the API.
func TestWrongTokensOfScrapersAreRecorded(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	var log lines
	cfg := serverConfig(s.store, s.live)
	cfg.Log = slog.New(recorder{slog.DiscardHandler, &log})
	api := newServer(t, cfg)
	web := httptest.NewServer(opshttp.Handler(opshttp.Config{Store: s.store, Gatherer: prometheus.NewRegistry(),
		Authorise: func(r *http.Request) error { return api.MayReadMetrics(r, nil) }}))
	t.Cleanup(web.Close)
	scrape := func(token string) int {
		r, err := http.NewRequestWithContext(s.ctx, http.MethodGet, web.URL+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := web.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	s.grant("tenant", RolePoolAdmin, scopeCase{pool: paris})
	_, narrow := s.token("tenant", nil)
	if got := scrape(narrow); got != http.StatusForbidden {
		t.Errorf("a token that does not reach: %d", got)
	}
	for range 3 { // one record at once, what follows is counted
		if got := scrape("x"); got != http.StatusUnauthorized {
			t.Errorf("a wrong token: %d", got)
		}
	}
	audit := v1.NewAuditServiceClient(s.conn)
	for _, method := range []string{scrapeMethod, "metrics"} {
		var records []*v1.AuditRecord
		for ctx := patience(t); len(records) == 0; {
			r, err := audit.ListAuditRecords(ctx, &v1.ListAuditRecordsRequest{Filter: &v1.AuditFilter{Method: method}})
			if err != nil {
				t.Fatal(err)
			}
			records = r.GetRecords()
		}
		if r := records[0]; len(records) != 1 || r.GetMethod() != scrapeMethod || r.GetWho() != "unknown" || r.GetCode() != "UNAUTHENTICATED" || !strings.HasPrefix(r.GetAddress(), "127.0.0.1:") {
			t.Errorf("recorded of %s: %v", method, records)
		}
	}
	for _, want := range [][]string{{"INFO GET /metrics code=Unauthenticated", "remote=127.0.0.1:"}, {"INFO GET /metrics code=PermissionDenied", "who=tenant"}} {
		if !log.has(want...) {
			t.Errorf("no line %q in the log:\n%s", want, &log)
		}
	}
}
