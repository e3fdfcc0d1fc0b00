package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poolwire/integration/monitoring"
	"poolwire/integration/scenario"
)

// plainWords are what peers without TLS begin with.
var plainWords = map[string]string{
	"HTTP":     "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"HTTP/2":   "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	"OVSDB":    `{"id":1,"method":"echo","params":[]}` + "\n",
	"OpenFlow": "\x04\x00\x00\x08\x00\x00\x00\x01",
}

// httpsOnly is what Go's HTTP server answers to plain HTTP on a port of HTTPS: a fixed line, whatever was asked.
const httpsOnly = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"

// Every port on which the process listens speaks TLS, 1.3 with who can and nothing below 1.2. Which ports there
// are, the kernel tells: one that nobody thought of is found too.
func TestNoPortIsPlain(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{"default": nil, "fips": {"GODEBUG=fips140=on"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &pair{World: newWorldOf(t, scenario.Options{Name: "ports", Bin: binaries, Env: env})}
			p.do(t, "pool", "create", "paris")
			p.join(t, "paris1") // a real switch agrees with these settings, too
			ports := listening(t, p.DaemonPID())
			if want := []uint16{6640, 6653, 6654, 6700, 6701, 9654}; !slices.Equal(portsOf(ports), want) {
				t.Errorf("listens on %v, want ports %v", ports, want)
			}
			for _, at := range ports {
				for protocol, words := range plainWords {
					if answer := p.sayPlain(t, at, words); answer != "" && answer[0] != 0x15 && answer != httpsOnly { // 0x15: a TLS alert
						t.Errorf("%s answers %s in plain: %q", at, protocol, answer)
					}
				}
				p.agreesOnTLS(t, at)
			}
			code, _, err := monitoring.NewReaderTLS(&tls.Config{InsecureSkipVerify: true}, p.Lab.Controller().Dial).Get(within(t, 10*time.Second), scenario.MonitoringAddress, "/metrics")
			if err != nil || code != http.StatusUnauthorized {
				t.Errorf("metrics without a certificate: %d, %v", code, err)
			}
			for _, path := range []string{"/healthz", "/readyz"} {
				code, _, err := monitoring.NewReaderTLS(&tls.Config{InsecureSkipVerify: true}, p.Lab.Controller().Dial).Get(within(t, 10*time.Second), scenario.MonitoringAddress, path)
				if err != nil || code != http.StatusOK {
					t.Errorf("%s without a certificate: %d, %v", path, code, err)
				}
			}
		})
	}
}

// On request the port of metrics is plain, on a loopback address and nowhere else.
func TestInsecureLoopback(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "plain", "--insecure-loopback")
	p := &pair{World: w}
	var plain []uint16
	for _, at := range listening(t, w.DaemonPID()) {
		if answer := p.sayPlain(t, at, plainWords["HTTP"]); strings.HasPrefix(answer, "HTTP/1.1 200") {
			plain = append(plain, at.Port())
		}
	}
	if !slices.Equal(plain, []uint16{9654}) {
		t.Errorf("plain: %v", plain)
	}
	for _, address := range []string{"0.0.0.0:9654", ":9654", "100.64.0.1:9654", "localhost:9654"} {
		out, err := exec.CommandContext(within(t, 20*time.Second), filepath.Join(binaries, "poolwired"),
			"--data-dir", t.TempDir(), "--pki-dir", t.TempDir(), "--insecure-loopback", "--listen-metrics", address).CombinedOutput()
		if text := string(out); err == nil || !strings.Contains(text, "listen.metrics") || !strings.Contains(text, address) || !strings.Contains(text, "want a loopback address") {
			t.Errorf("%s: %v, %s", address, err, out)
		}
	}
}

// listening are the TCP addresses on which a process listens, by port.
func listening(t *testing.T, pid int) []netip.AddrPort {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	entries, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	owned := map[string]bool{}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(proc, "fd", e.Name())); err == nil && strings.HasPrefix(target, "socket:[") {
			owned[strings.Trim(target, "socket:[]")] = true
		}
	}
	var out []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6"} {
		f, err := os.Open(filepath.Join(proc, "net", table))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		const local, state, inode, listen = 1, 3, 9, "0A" // proc_pid_net(5)
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); len(fields) > inode && fields[state] == listen && owned[fields[inode]] {
				out = append(out, procAddress(t, fields[local]))
			}
		}
	}
	slices.SortFunc(out, func(a, b netip.AddrPort) int { return int(a.Port()) - int(b.Port()) })
	return out
}

// procAddress reads an address of /proc/net/tcp: words of 32 bits in the byte order of the machine.
func procAddress(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	number, errPort := strconv.ParseUint(port, 16, 16)
	if err != nil || errPort != nil {
		t.Fatalf("address %q: %v %v", text, err, errPort)
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	ip, _ := netip.AddrFromSlice(raw)
	if ip.IsUnspecified() { // reached at the loopback
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(number))
}

func portsOf(all []netip.AddrPort) []uint16 {
	var out []uint16
	for _, a := range all {
		out = append(out, a.Port())
	}
	return out
}

// sayPlain says something without TLS, and returns what is answered until the connection ends.
func (p *pair) sayPlain(t *testing.T, at netip.AddrPort, words string) string {
	t.Helper()
	ctx := within(t, 20*time.Second)
	conn, err := p.Lab.Controller().Dial(ctx, "tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, words); err != nil {
		return ""
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.CloseWrite()
	}
	answer, _ := io.ReadAll(io.LimitReader(conn, 1<<10))
	return string(answer)
}

// agreesOnTLS checks what a port agrees on. Its certificate is judged elsewhere.
func (p *pair) agreesOnTLS(t *testing.T, at netip.AddrPort) {
	t.Helper()
	shake := func(config *tls.Config) (tls.ConnectionState, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		conn, err := p.Lab.Controller().Dial(ctx, "tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := tls.Client(conn, config)
		err = c.HandshakeContext(ctx)
		return c.ConnectionState(), err
	}
	got, err := shake(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS10})
	if err != nil || got.Version != tls.VersionTLS13 {
		t.Errorf("%s: %s, %v; want TLS 1.3", at, tls.VersionName(got.Version), err)
	}
	if got, err := shake(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Errorf("%s: agrees on %s", at, tls.VersionName(got.Version))
	}
	out, err := p.Lab.Controller().Run(within(t, 20*time.Second), "openssl", "s_client", "-connect", fmt.Sprint(at), "-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0")
	if err == nil {
		t.Errorf("%s: OpenSSL agrees on CBC:\n%s", at, out)
	}
}
