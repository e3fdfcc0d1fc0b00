package cli

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"poolwire/pki"
)

// strangers are an API whose CA is not that of the client's certificate, and the flags with which each knows the other.
type strangers struct {
	server, gone          string
	cert, key             string
	serverCA, strangersCA string
}

func meetStrangers(t *testing.T) strangers {
	t.Helper()
	dir := t.TempDir()
	authority := func(name string) *pki.Authority {
		a, err := pki.Open(filepath.Join(dir, name), pki.Options{NodeID: name})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	own, other := authority("own"), authority("other")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(own.APIServerTLS())))
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := silent.Addr().String()
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	in := func(name, file string) string { return filepath.Join(dir, name, file) }
	return strangers{
		server: l.Addr().String(), gone: gone, cert: in(filepath.Base(other.Dir()), "admin.pem"), key: in("other", "admin.key"),
		serverCA: in("own", "ca.pem"), strangersCA: in("other", "ca.pem"),
	}
}

// A certificate that the controller does not accept, and a controller that the client does not know, are told in the same words
// each time, whichever of both sides finds the connection closed first, and whatever the other nodes do.
func TestRefusedCertificateIsSaid(t *testing.T) {
	t.Parallel()
	with := meetStrangers(t)
	refused := fmt.Sprintf("poolwire: --cert %q: the controller does not accept this client's certificate: ", with.cert)
	unknown := fmt.Sprintf("poolwire: --ca %q: no CA of this file has signed the certificate of %s", with.strangersCA, with.server)
	for _, tc := range []struct {
		server, ca, want string
		times            int
	}{
		{with.server, with.serverCA, refused, 40},
		{with.server + "," + with.gone, with.serverCA, refused, 3},
		{with.gone + "," + with.server, with.serverCA, refused, 3},
		{with.server, with.strangersCA, unknown, 3},
	} {
		wrong := map[string]int{}
		for range tc.times {
			var out, errs bytes.Buffer
			a := newApp(Streams{Out: &out, Err: &errs}, nil)
			code := a.main(t.Context(), []string{"pool", "list", "--server", tc.server, "--cert", with.cert, "--key", with.key, "--ca", tc.ca})
			if code != exitNotPermitted || !strings.HasPrefix(errs.String(), tc.want) || strings.Contains(errs.String(), "running?") {
				wrong[fmt.Sprintf("exit %d: %s", code, errs.String())]++
			}
		}
		for text, n := range wrong {
			t.Errorf("%d of %d times %s\nwant exit %d: %s", n, tc.times, text, exitNotPermitted, tc.want)
		}
	}
}

// A controller that nobody answers for is not one that refuses.
func TestGoneControllerIsSaid(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	code := newApp(Streams{Out: &out, Err: &errs}, nil).main(t.Context(), []string{"pool", "list", "--socket", filepath.Join(t.TempDir(), "s")})
	if code != exitUnavailable || !strings.Contains(errs.String(), "Is poolwired running?") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

// On the socket everybody is local root, so what a certificate may do is not answered there.
func TestCertificateNeedsServer(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--cert", missing, "--key", missing}, {"--cert", missing}, {"--key", missing}} {
		f := &fakeServer{}
		code, out, errs := f.run(t, append([]string{"pool", "list"}, args...)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, args[0]+" needs --server") {
			t.Errorf("%v: exit %d %q %q", args, code, out, errs)
		}
	}
	// The environment may be that of a shell that is used for both.
	f := &fakeServer{environment: map[string]string{"POOLWIRE_CERT": missing, "POOLWIRE_KEY": missing}}
	if code, _, errs := f.run(t, "pool", "list"); code != exitOK {
		t.Errorf("environment: exit %d %q", code, errs)
	}
}
