package pki_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"poolwire/pki"
)

// xcpCiphers is the kind of list that XCP-ng 8.3 starts its ovsdb-server with: RSA
// key exchange and nothing else.
const xcpCiphers = "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256"

// dialled is what our listener learnt of one peer.
type dialled struct {
	state tls.ConnectionState
	err   error
}

// listenOnce accepts one connection, greets the peer and hangs up.
func listenOnce(t *testing.T, config *tls.Config) (address string, result <-chan dialled) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ch := make(chan dialled, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			ch <- dialled{err: err}
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(wait))
		s := tls.Server(conn, config)
		if err = s.Handshake(); err == nil {
			_, err = s.Write([]byte("greeting\n"))
		}
		ch <- dialled{s.ConnectionState(), err}
		_ = s.Close()
	}()
	return l.Addr().String(), ch
}

// OpenSSL as a host that dials us.
func TestOpenSSLClient(t *testing.T) {
	t.Parallel()
	modern, o := open(t, copyDir(t), options()), options()
	o.LegacyCiphers = true
	legacy := open(t, copyDir(t), o)
	cert, key, ca := files(t, host(t))
	base := []string{"s_client", "-CAfile", ca, "-verify_return_error", "-verify", "4", "-showcerts", "-ign_eof"}
	with := func(args ...string) []string {
		return append(append(append([]string{}, base...), "-cert", cert, "-key", key), args...)
	}
	tests := []struct {
		name   string
		server *pki.Authority
		args   []string
		suite  string // how its name begins; empty: refused
	}{
		{"TLS 1.3", modern, with(), "TLS_"},
		{"TLS 1.2", modern, with("-tls1_2"), "TLS_ECDHE_RSA_WITH_"},
		{"TLS 1.2 with legacy ciphers on", legacy, with("-tls1_2"), "TLS_ECDHE_RSA_WITH_"},
		{"XCP-ng 8.3", legacy, with("-tls1_2", "-cipher", xcpCiphers), "TLS_RSA_WITH_AES_"},
		{"XCP-ng 8.3, AES-256", legacy, with("-tls1_2", "-cipher", "AES256-GCM-SHA384"), "TLS_RSA_WITH_AES_256_GCM_SHA384"},
		{"XCP-ng 8.3 without the option", modern, with("-tls1_2", "-cipher", xcpCiphers), ""},
		{"no certificate", modern, base, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address, result := listenOnce(t, tt.server.ServerTLS())
			out, _ := try(t, "openssl", append(tt.args, "-connect", address)...)
			got := <-result
			suite := tls.CipherSuiteName(got.state.CipherSuite)
			if tt.suite == "" {
				if got.err == nil || strings.Contains(out, "greeting") {
					t.Errorf("accepted with %s", suite)
				}
				return
			}
			if got.err != nil || !strings.Contains(out, "greeting") || !strings.Contains(out, "Verify return code: 0 (ok)") {
				t.Fatalf("server: %v, openssl: %s", got.err, out)
			}
			if !strings.HasPrefix(suite, tt.suite) {
				t.Errorf("cipher suite %s, want %s...", suite, tt.suite)
			}
			if _, err := tt.server.VerifyHost(got.state.PeerCertificates, pki.HostIdentity{UUID: hostUUID}); err != nil {
				t.Error(err)
			}
			// Open vSwitch's bootstrap takes the last certificate, which must be self-signed.
			shown := certificates(t, []byte(out[:strings.Index(out, "Server certificate")]))
			if n := len(shown); n != 2 || string(certPEM(shown[n-1])) != string(tt.server.CAPEM()) {
				t.Errorf("the chain has %d certificates and does not end with the root", n)
			}
		})
	}
}

var accepting = regexp.MustCompile(`^ACCEPT .*:(\d+)$`)

// sServer starts OpenSSL as a host that is dialled, and returns its address.
func sServer(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program(t, "openssl"), append([]string{"s_server", "-accept", "127.0.0.1:0", "-rev"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	port, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := accepting.FindStringSubmatch(lines.Text()); m != nil {
				port <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() { cancel(); <-drained; _ = cmd.Wait() })
	select {
	case p := <-port:
		return "127.0.0.1:" + p
	case <-drained:
		t.Fatal("openssl s_server ended before it listened")
	case <-time.After(wait):
		t.Fatal("openssl s_server does not listen")
	}
	return ""
}

// OpenSSL as a passive host that is dialled and demands a certificate of our CA.
func TestOpenSSLServer(t *testing.T) {
	t.Parallel()
	modern, o := open(t, copyDir(t), options()), options()
	o.LegacyCiphers = true
	legacy := open(t, copyDir(t), o)
	foreign, err := another()
	if err != nil {
		t.Fatal(err)
	}
	cert, key, ca := files(t, host(t))
	base := []string{"-cert", cert, "-key", key, "-CAfile", ca, "-Verify", "4", "-verify_return_error"}
	xcp := append(append([]string{}, base...), "-tls1_2", "-cipher", xcpCiphers)
	tests := []struct {
		name   string
		args   []string
		client *tls.Config
		ok     bool
	}{
		{"modern", base, modern.DialTLS(), true},
		{"TLS 1.2", append(append([]string{}, base...), "-tls1_2"), modern.DialTLS(), true},
		{"XCP-ng 8.3", xcp, legacy.DialTLS(), true},
		{"XCP-ng 8.3 without the option", xcp, modern.DialTLS(), false},
		{"another CA's node", base, foreign.DialTLS(), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: wait}, Config: tt.client}
			var reply string
			conn, err := dialer.DialContext(t.Context(), "tcp", sServer(t, tt.args...))
			if err == nil {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(wait))
				if _, err = conn.Write([]byte("abc\n")); err == nil {
					reply, err = bufio.NewReader(conn).ReadString('\n')
				}
			}
			if !tt.ok {
				if err == nil {
					t.Errorf("accepted: %q", reply)
				}
				return
			}
			if err != nil || reply != "cba\n" {
				t.Fatalf("%q, %v", reply, err)
			}
			peer := conn.(*tls.Conn).ConnectionState().PeerCertificates
			if _, err := modern.VerifyHost(peer, pki.HostIdentity{UUID: hostUUID}); err != nil {
				t.Error(err)
			}
		})
	}
}
