package cli

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// examples are the command lines in the help of a command and of those below it.
func examples(c *cobra.Command) []string {
	out := []string{strings.TrimPrefix(c.CommandPath(), "poolwire ")}
	for _, line := range strings.Split(c.Example, "\n") {
		if words, ok := strings.CutPrefix(strings.TrimSpace(line), "poolwire "); ok {
			out = append(out, words)
		}
	}
	for _, sub := range c.Commands() {
		out = append(out, examples(sub)...)
	}
	return out
}

// Whatever the command line holds, it ends with one of the exit codes that are documented; without
// a server nothing but help succeeds, and mistakes are told before anybody is asked.
func FuzzArguments(f *testing.F) {
	f.Chdir(f.TempDir())
	for _, line := range examples(Root()) {
		f.Add(line)
	}
	for _, line := range []string{
		"add-rule bridge=xenbr0 mac=6e:0b:9e:72:ab:c6 ipRange=192.168.1.0/24 direction=from/to protocol=tcp port=22 allow=false priority=100 cookie=0x1f",
		"add-rule args:bridge=xenbr0 --allow true", "policy-rule create --vif web1 --action drop --in --protocol tcp --local-ports 80,443-450 --from 192.0.2.0/24 --expires 2h --confirm-within 1m",
		"vif set a --virtual-router 51=192.0.2.1,192.0.2.2 --trunk 1-4094 --limit-in 10Gbit --burst 8M --label a=b,c= --unlabel x --pair 6e:0b:9e:72:ab:c6=::1 --hosts ,",
		"vif-group create x --selector a=b,c!=d,!e", "explain --from a --to b tcp 80", "-o yaml pool list --timeout 1ms", "watch --kinds vif --from 99999999999999999999",
	} {
		f.Add(line)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Fields(line)
		for _, word := range args {
			// Nothing of what is tried may be a file of this machine's.
			if strings.HasPrefix(word, "/") || strings.Contains(word, "=/") || strings.Contains(word, "..") || strings.Contains(word, ":/") {
				return
			}
		}
		a := newApp(Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}, func(name string) (string, bool) {
			return "unix:nobody.sock", name == envPrefix+"SERVER"
		})
		if code := a.main(ended, args); code < exitOK || code > exitNotPermitted {
			t.Fatalf("%q: exit code %d", line, code)
		}
	})
}

// The texts of flags are read, or refused as what the user got wrong.
func FuzzFlagTexts(f *testing.F) {
	for _, s := range []string{"10M", "1.5Gbit", "8kB", "1-4094", "100-109,7", "2h", "2026-11-21T14:00:00Z", "51=192.0.2.1", "18446744073709551615", "1e400", "-0", "\xff"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if bits, err := parseBits("--limit-in", text); err != nil && bits != 0 {
			t.Errorf("parseBits %q: %d and %v", text, bits, err)
		}
		tags, err := parseTags("--trunk", []string{text})
		if len(tags) > 4096 {
			t.Errorf("parseTags %q: %d tags, %v", text, len(tags), err)
		}
		if at, err := parseExpiry(text, now); err == nil && text != "" && at.Year() > 9999 {
			t.Errorf("parseExpiry %q: %v cannot be written down", text, at)
		}
		if routers, err := parseRouters([]string{text}); err == nil && len(routers) > 1 {
			t.Errorf("parseRouters %q: %v", text, routers)
		}
		parseRefused(text)
	})
}
