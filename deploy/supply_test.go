package deploy_test

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every tool is one of a module with a go.sum, and nothing is fetched by a name that means something else tomorrow.
func TestToolsArePinned(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..")
	moving := regexp.MustCompile(`@(latest|main|master|upgrade|HEAD)\b|go install |curl |wget `)
	for _, name := range []string{"Makefile", ".ci/run", "buf.gen.yaml", "buf.yaml"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if moving.MatchString(line) {
				t.Errorf("%s fetches something that is not pinned: %s", name, line)
			}
		}
	}
	modules, err := filepath.Glob(filepath.Join(root, "tools", "*", "go.mod"))
	if err != nil || len(modules) < 5 {
		t.Fatalf("tools: %v, %v", modules, err)
	}
	for _, mod := range modules {
		dir := filepath.Dir(mod)
		if _, err := os.Stat(filepath.Join(dir, "go.sum")); err != nil {
			t.Error(err)
		}
		// Everything that is needed has its checksum: with -mod=readonly nothing else is taken.
		cmd := exec.CommandContext(t.Context(), "go", "list", "-mod=readonly", "-deps", "-f", "{{with .Module}}{{.Path}}@{{.Version}}{{end}}", "tool")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", dir, err, out)
		}
	}
}

// build runs the Makefile's own build in a copy of the tree.
func build(t *testing.T, tree string) string {
	t.Helper()
	files, err := exec.CommandContext(t.Context(), "git", "-C", "..", "ls-files", "--cached", "--others", "--exclude-standard", "-z").Output()
	if err != nil {
		t.Skipf("the tree is no git repository: %v", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(files), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join("..", name))
		if os.IsNotExist(err) {
			continue // removed, not yet committed
		}
		to := filepath.Join(tree, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(tree, "bin")
	if out, err := exec.CommandContext(t.Context(), "make", "-s", "-C", tree, "build", "BIN="+bin, "VERSION=v0").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// The same sources make the same bytes in another directory. Both share Go's cache, whose keys have the directory in them
// wherever what is compiled depends on it; 'make reproducible' does the same with empty caches.
func TestBuildIsReproducible(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var sums [2][2][sha256.Size]byte
	for i, tree := range []string{filepath.Join(dir, "one"), filepath.Join(dir, "another", "deeper")} {
		bin := build(t, tree)
		for j, program := range []string{"poolwired", "poolwire"} {
			data, err := os.ReadFile(filepath.Join(bin, program))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, []byte(dir)) {
				t.Errorf("%s names the directory that it was built in", program)
			}
			sums[i][j] = sha256.Sum256(data)
		}
	}
	if sums[0] != sums[1] {
		t.Errorf("built twice, not the same: %x and %x", sums[0], sums[1])
	}
	listsEverything(t, filepath.Join(dir, "one", "bin", "poolwired"))
}

// listsEverything holds the bill of materials to what the linker wrote into the program.
func listsEverything(t *testing.T, program string) {
	t.Helper()
	dir := t.TempDir()
	tool, bom := filepath.Join(dir, "cyclonedx-gomod"), filepath.Join(dir, "bom.json")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "../tools/sbom", "-o", tool, "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "bin", "-json", "-std", "-noserial", "-notimestamp", "-version", "v0", "-output", bom, program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var list struct {
		BOMFormat  string
		Components []struct{ Name, Version, Purl string }
	}
	data, err := os.ReadFile(bom)
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil || list.BOMFormat != "CycloneDX" {
		t.Fatalf("%v, format %q", err, list.BOMFormat)
	}
	listed := map[string]bool{}
	for _, c := range list.Components {
		listed[c.Name+" "+c.Version] = true
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"std " + info.GoVersion}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		want = append(want, m.Path+" "+m.Version)
	}
	for _, w := range want {
		if !listed[w] {
			t.Errorf("the bill of materials lacks %s", w)
		}
	}
	if len(want) < 20 {
		t.Error(fmt.Errorf("only %d modules: nothing was looked at", len(want)))
	}
}
