package northbound

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	v1 "poolwire/proto/poolwire/v1"

	"poolwire/northbound/opshttp"
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
