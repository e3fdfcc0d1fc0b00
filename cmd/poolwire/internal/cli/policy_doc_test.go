package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// policyGuide is the operator's guide, seen from this package.
var policyGuide = filepath.Join("..", "..", "..", "..", "docs", "policy.md")

// guideCommands are the lines of console blocks that run the client, and the
// commands in the text.
func guideCommands(t *testing.T) (blocks, inline []string) {
	t.Helper()
	b, err := os.ReadFile(policyGuide)
	if err != nil {
		t.Fatal(err)
	}
	console := false
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			console = line == "```console"
		case console && strings.HasPrefix(line, "poolwire "):
			blocks = append(blocks, line)
		case !console:
			for _, m := range regexp.MustCompile("`(poolwire [^`]*)`").FindAllStringSubmatch(line, -1) {
				inline = append(inline, m[1])
			}
		}
	}
	if len(blocks) < 60 || len(inline) == 0 {
		t.Fatalf("%d commands in blocks, %d in the text", len(blocks), len(inline))
	}
	return blocks, inline
}

// words splits a line as a shell does that knows blanks and double quotes only.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out[1:]
}

// Every command of the guide exists, with these flags and this many arguments.
func TestTheGuidesCommandsExist(t *testing.T) {
	t.Parallel()
	blocks, inline := guideCommands(t)
	for _, line := range append(blocks, inline...) {
		root := Root()
		cmd, rest, err := root.Find(words(line))
		if err != nil || cmd.HasSubCommands() {
			t.Errorf("%s: no such command (%v)", line, err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// Every command of the guide is one that the client sends, not one that it
// refuses as a mistake.
func TestTheGuidesCommandsReachTheServer(t *testing.T) {
	t.Parallel()
	blocks, _ := guideCommands(t)
	sessions := filepath.Join(t.TempDir(), "sessions")
	if err := os.WriteFile(sessions, []byte("tcp,orig=()\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range blocks {
		f := guideServer()
		code, _, errs := f.run(t, words(strings.ReplaceAll(line, "--sessions sessions", "--sessions "+sessions))...)
		wanted := exitOK
		if strings.HasPrefix(line, "poolwire denied") {
			wanted = exitUnavailable // the fake server's stream ends
		}
		if code != wanted {
			t.Errorf("%s: exit %d, want %d: %s", line, code, wanted, errs)
		}
	}
}

// guideServer has what the guide's commands name.
func guideServer() *fakeServer {
	f := policyServer()
	f.preview, f.explanation = &poolwirev1.Preview{}, &poolwirev1.ExplainResponse{}
	f.effective, f.hits = &poolwirev1.GetEffectivePolicyResponse{}, &poolwirev1.GetRuleHitsResponse{}
	f.pending = []*poolwirev1.PendingChange{{Id: "4711"}, {Id: "4712"}}
	for _, name := range []string{"web1", "app1", "db1", "gw1", "gw2"} {
		f.vifs = append(f.vifs, &poolwirev1.Vif{Uuid: "uuid-" + name, NameLabel: name})
	}
	for _, name := range []string{"shop", "shop-web", "shop-app", "shop-db", "labelled", "quarantine"} {
		f.vifGroups = append(f.vifGroups, &poolwirev1.VifGroup{Uuid: "uuid-" + name, NameLabel: name})
	}
	f.addressGroups = append(f.addressGroups, &poolwirev1.AddressGroup{Uuid: "uuid-offices", NameLabel: "offices"})
	for _, name := range []string{"no-mail", "blocked"} {
		f.policies = append(f.policies, &poolwirev1.PolicyRule{Uuid: "uuid-" + name, NameLabel: name})
	}
	return f
}

// The table of what a rule says names every flag that is a field of a rule.
func TestTheGuideNamesEveryFlagOfARule(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(policyGuide)
	if err != nil {
		t.Fatal(err)
	}
	add, _, err := Root().Find([]string{"rule", "add"})
	if err != nil {
		t.Fatal(err)
	}
	add.LocalFlags().VisitAll(func(f *pflag.Flag) {
		// The other spellings of flags that are there, and what help says.
		switch f.Name {
		case "action", "direction", "level", "uuid", "help":
			return
		}
		if !strings.Contains(string(b), "--"+f.Name) {
			t.Errorf("--%s is not in %s", f.Name, policyGuide)
		}
	})
}
