// Package opshttp serves what operates a node over HTTP: metrics for Prometheus, and
// whether the process is alive and able to serve.
package opshttp

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Store is what the checks need of the replicated store (raftstore.Store).
type Store interface {
	// Leader is the id and the API address of the leader, empty when not known.
	Leader() (id, apiAddr string)
	// Err says why the node cannot go on; nil while it can.
	Err() error
}

// Config is what the handler works with. Store and Gatherer are required.
type Config struct {
	Store    Store
	Gatherer prometheus.Gatherer
	// Authorise says why a request may not read the metrics: [ErrNoCredentials] for one that
	// presents nothing, any other error for one whose credentials do not do. nil lets everybody
	// read them. The checks are for everybody: they tell no more than one word, or what is broken.
	Authorise func(*http.Request) error
}

// ErrNoCredentials says that a request presents nothing that tells who asks.
var ErrNoCredentials = errors.New("metrics need a client certificate or a token")

// maxScrapes bounds how many scrapes run at once.
const maxScrapes = 4

// Handler serves, for GET and HEAD:
//
//	/metrics  the metrics, in the format the client asks for; 401 and 403 for
//	          whom Config.Authorise turns away
//	/healthz  200 while the process can do its work; 503 when only a restart,
//	          or an upgrade, helps
//	/readyz   200 while a leader is known, so that every call can be answered;
//	          503 otherwise
func Handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", authorised(cfg.Authorise, promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})))
	mux.Handle("GET /healthz", check(cfg.Store.Err))
	mux.Handle("GET /readyz", check(func() error { return ready(cfg.Store) }))
	return mux
}

// authorised serves those whom authorise has nothing against.
func authorised(authorise func(*http.Request) error, next http.Handler) http.Handler {
	if authorise == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := authorise(r)
		switch {
		case err == nil:
			next.ServeHTTP(w, r)
		case errors.Is(err, ErrNoCredentials):
			http.Error(w, err.Error(), http.StatusUnauthorized)
		default:
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
}

// ready says why calls cannot be answered.
func ready(s Store) error {
	if err := s.Err(); err != nil {
		return err
	}
	if id, _ := s.Leader(); id == "" {
		return errNoLeader
	}
	return nil
}

// errNoLeader: an election is under way, or the majority of nodes is away.
var errNoLeader = errors.New("no controller node leads")

// check answers with "ok" or with what is wrong, one line of text.
func check(problem func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := problem(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintln(w, err)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
}
