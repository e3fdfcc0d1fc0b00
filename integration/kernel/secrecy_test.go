package kernel_test

import (
	"context"
	"encoding/hex"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab/kernel"
	"poolwire/integration/leak"
)

// secretsStayHome looks for every key that the hosts have had, in all that the controller writes, keeps and says of a run. It
// must be nowhere but where ovs-monitor-ipsec and the IKE daemon read it, where the same search has to find it.
func secretsStayHome(t *testing.T, d *duo) {
	var search leak.Search
	for _, key := range append(d.had, d.keys(t)...) {
		raw, err := hex.DecodeString(strings.Trim(key, `"`))
		if err != nil || len(raw) != 32 {
			t.Fatalf("a key of %d characters: %v", len(key), err)
		}
		search.Bytes(key, raw)
	}
	t.Logf("%d keys", len(search.Names()))
	holders := 0
	for what, text := range d.homes(t) {
		if !slices.Contains(search.In([]byte(text)), d.key(t, d.h1)) {
			t.Errorf("the search does not find the key where it has to be: %s, %d bytes", what, len(text))
		}
		holders++
	}
	looked := 0
	for what, text := range d.said(t) {
		looked++
		if n := len(search.In([]byte(text))); n > 0 {
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
