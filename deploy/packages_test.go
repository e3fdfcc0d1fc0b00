package deploy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The tables of packages in docs/architecture.md have every package that is not internal to another one or generated,
// once, and none that is gone.
func TestPackagesAreDescribed(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllSubmatch(doc, -1) {
		name := string(row[1])
		if slices.Contains(named, name) {
			t.Errorf("package %s is described twice", name)
		}
		named = append(named, name)
	}
	there := packages(t)
	for _, name := range there {
		if !slices.Contains(named, name) {
			t.Errorf("package %s is in no table of docs/architecture.md", name)
		}
	}
	for _, name := range named {
		if !slices.Contains(there, name) {
			t.Errorf("docs/architecture.md describes %s, and there is no such package", name)
		}
	}
}

// packages are the folders of the module that have Go files.
func packages(t *testing.T) []string {
	t.Helper()
	passedOver := []string{"third_party", "tools", "internal", "testdata", "bin"}
	var out []string
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		folder := filepath.Dir(path)
		switch name := entry.Name(); {
		case !entry.IsDir():
			if rel, err := filepath.Rel("..", folder); err == nil && strings.HasSuffix(name, ".go") && !slices.Contains(out, rel) {
				out = append(out, rel)
			}
		case path == "..":
		case strings.HasPrefix(name, ".") || slices.Contains(passedOver, name) || path == filepath.Join("..", "proto", "poolwire"):
			return filepath.SkipDir
		default:
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
				return filepath.SkipDir // a module of its own
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
