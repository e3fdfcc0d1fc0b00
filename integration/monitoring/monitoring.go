// Package monitoring reads the monitoring port of a node as Prometheus does: over TLS, with a
// client's certificate.
package monitoring

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"

	"poolwire/pki"
)

// Dial connects to an address, from wherever the node can be reached.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Reader reads pages of monitoring ports. Safe for concurrent use.
type Reader struct{ client http.Client }

// NewReader returns a reader with the certificate of the administrator that the first node of a
// cluster has made in its pki_dir. A nil dial is this machine's own.
func NewReader(pkiDir string, dial Dial) (*Reader, error) {
	config, err := pki.APIClientTLS(pkiDir)
	if err != nil {
		return nil, err
	}
	return NewReaderTLS(config, dial), nil
}

// NewReaderTLS is NewReader with whatever certificate config has.
func NewReaderTLS(config *tls.Config, dial Dial) *Reader {
	return &Reader{http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, DialContext: dial}}}
}

// Get reads a page: "/metrics" of "127.0.0.1:9654".
func (r *Reader) Get(ctx context.Context, address, path string) (code int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+path, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := r.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}
