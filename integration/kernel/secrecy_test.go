package kernel_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab/kernel"
)

// secretsStayHome looks for every key that the hosts have had, in all that the controller writes, keeps and says of a run. It
// must be nowhere but where ovs-monitor-ipsec and the IKE daemon read it, where the same search has to find it.
func secretsStayHome(t *testing.T, d *duo) {
	forms := map[string][]string{}
	for _, key := range append(d.had, d.keys(t)...) {
		forms[key] = formsOf(t, strings.Trim(key, `"`))
	}
	t.Logf("%d keys", len(forms))
	holders := 0
	for what, text := range d.homes(t) {
		if !slices.Contains(found(forms, text), d.key(t, d.h1)) {
			t.Errorf("the search does not find the key where it has to be: %s, %d bytes", what, len(text))
		}
		holders++
	}
	looked := 0
	for what, text := range d.said(t) {
		looked++
		if n := len(found(forms, text)); n > 0 {
			t.Errorf("%d keys in %s (%d bytes)", n, what, len(text))
		}
		if len(text) == 0 {
			t.Errorf("nothing to look at in %s", what)
		}
	}
	t.Logf("looked at %d texts and files, and at %d that have the key", looked, holders)
}

// homes are the places on the hosts where the key has to be.
func (d *duo) homes(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, h := range []*kernel.Host{d.h1, d.h2} {
		for what, args := range map[string][]string{
			"OVSDB": {"ovs-vsctl", "--columns=options", "list", "Interface"}, "ipsec.secrets": {"cat", "/etc/ipsec.secrets"},
		} {
			text, err := h.Run(within(t, 20*time.Second), args...)
			if err != nil {
				t.Fatal(what, err)
			}
			out[h.ShortName+" "+what] = text
		}
	}
	return out
}

// said is all that the controller has written, keeps or tells.
func (d *duo) said(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{"the log": d.DaemonLog(math.MaxInt32), "the events": d.events(t), "the metrics": d.metrics(t)}
	for _, args := range [][]string{
		{"private-network", "show", "green", "-o", "json"}, {"private-network", "list", "-o", "json"},
		{"tunnel", "list", "-o", "json"}, {"tunnel", "matrix", "-o", "json"}, {"pool", "list", "-o", "json"},
		{"host", "show", "kern1", "-o", "json"}, {"host", "show", "kern2", "-o", "json"}, {"host", "guard", "kern1", "-o", "json"},
	} {
		out["poolwire "+strings.Join(args, " ")] = d.do(t, args...)
	}
	for _, h := range []*kernel.Host{d.h1, d.h2} {
		for _, bridge := range []string{"xenbr0", "pw-overlay", "pw200"} {
			out["dump-flows of "+h.ShortName+" "+bridge] = d.do(t, "dump-flows", "--host", h.ShortName, "--bridge", bridge)
			text, err := h.Ofctl(within(t, 20*time.Second), "-O", "OpenFlow13", "dump-flows", bridge)
			if err != nil {
				t.Fatal(err)
			}
			out["ovs-ofctl dump-flows of "+h.ShortName+" "+bridge] = text
		}
	}
	// Everything in its directories: the store, its snapshots, the secrets' own key, the CA.
	err := filepath.WalkDir(d.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if len(text) > 0 {
			out[path] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// events are all changes since the first one. The last is one made for it, which tells that the others have been seen.
func (d *duo) events(t *testing.T) string {
	t.Helper()
	const last = "the-last-word"
	d.do(t, "pool", "create", last)
	for patience := time.Second; ; patience *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		text, err := d.Poolwire(ctx, "watch", "--from", "1", "-o", "json") // ends with its time
		cancel()
		if strings.Contains(text, last) {
			return text
		}
		if patience > 20*time.Second {
			t.Fatalf("the events do not end with the last change: %v, %d bytes", err, len(text))
		}
	}
}

// metrics is what the daemon tells Prometheus.
func (d *duo) metrics(t *testing.T) string {
	t.Helper()
	_, text, err := d.Monitoring(within(t, 20*time.Second), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// formsOf are the ways in which a key of hexadecimal digits may have been written: its bytes and its digits as they are, and
// both in hexadecimal and base64, where they may be part of something longer.
func formsOf(t *testing.T, key string) []string {
	t.Helper()
	raw, err := hex.DecodeString(key)
	if err != nil || len(raw) != 32 {
		t.Fatalf("a key of %d characters: %v", len(key), err)
	}
	var out []string
	for _, b := range [][]byte{raw, []byte(key), []byte(strings.ToUpper(key))} {
		out = append(out, string(b), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)))
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			for before := range 3 {
				text := encoding.EncodeToString(append(make([]byte, before), b...))
				// Characters that also depend on what stands before or behind are no part of the key.
				text = text[[]int{0, 2, 3}[before]:]
				if (before+len(b))%3 != 0 {
					text = text[:len(text)-1]
				}
				out = append(out, text)
			}
		}
	}
	return out
}

// found are the keys of which a text has any form.
func found(forms map[string][]string, text string) []string {
	var out []string
	for key, all := range forms {
		if slices.ContainsFunc(all, func(form string) bool { return strings.Contains(text, form) }) {
			out = append(out, key)
		}
	}
	return out
}

// The search finds a key in whatever way it has been written, and nothing where there is none.
func TestTheSearchFindsKeys(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("0f1e2d3c4b5a6978", 4)
	raw, _ := hex.DecodeString(key)
	forms := map[string][]string{key: formsOf(t, key)}
	for i := range 7 {
		filled := append(append(make([]byte, i), raw...), 0xff, 0xff)
		for _, text := range []string{
			string(filled), fmt.Sprintf("%x", filled), fmt.Sprintf("%X", filled), base64.StdEncoding.EncodeToString(filled), base64.URLEncoding.EncodeToString(filled),
			base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", i) + key + "\n")), "psk=" + key,
		} {
			if len(found(forms, text)) != 1 {
				t.Errorf("%d bytes before it: not found in %q", i, text)
			}
		}
	}
	if got := found(forms, strings.Repeat("0f1e2d3c4b5a6979", 4)); len(got) != 0 {
		t.Errorf("found in another: %v", got)
	}
}
