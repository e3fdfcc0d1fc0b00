package opshttp

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

type store struct {
	leader string
	err    error
}

func (s store) Leader() (id, apiAddr string) { return s.leader, "" }
func (s store) Err() error                   { return s.err }

func TestAuthorise(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path string
		err  error
		code int
	}{
		{"/metrics", nil, http.StatusOK},
		{"/metrics", ErrNoCredentials, http.StatusUnauthorized},
		{"/metrics", errors.New("a host's certificate"), http.StatusForbidden},
		{"/healthz", ErrNoCredentials, http.StatusOK},
		{"/readyz", errors.New("a host's certificate"), http.StatusOK},
	} {
		w := httptest.NewRecorder()
		authorise := func(*http.Request) error { return tt.err }
		Handler(Config{Store: store{leader: "n1"}, Gatherer: prometheus.NewRegistry(), Authorise: authorise}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, tt.path, nil))
		if w.Code != tt.code {
			t.Errorf("%s, %v: %d %q", tt.path, tt.err, w.Code, w.Body)
		}
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "poolwire_test_total", Help: "A test."})
	registry.MustRegister(counter)
	counter.Inc()
	tests := []struct {
		method, path string
		store        store
		code         int
		says         string
	}{
		{"GET", "/metrics", store{}, http.StatusOK, "poolwire_test_total 1"},
		{"GET", "/healthz", store{}, http.StatusOK, "ok"},
		{"GET", "/healthz", store{leader: "n1", err: errors.New("log entry 7")}, http.StatusServiceUnavailable, "log entry 7"},
		{"GET", "/readyz", store{leader: "n1"}, http.StatusOK, "ok"},
		{"GET", "/readyz", store{}, http.StatusServiceUnavailable, "no controller node leads"},
		{"GET", "/readyz", store{leader: "n1", err: errors.New("log entry 7")}, http.StatusServiceUnavailable, "log entry 7"},
		{"POST", "/healthz", store{}, http.StatusMethodNotAllowed, ""},
		{"GET", "/", store{}, http.StatusNotFound, ""},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		Handler(Config{Store: tt.store, Gatherer: registry}).ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, w.Code, w.Body, tt.code, tt.says)
		}
	}
}
