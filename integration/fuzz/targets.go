package main

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// target is one fuzz test.
type target struct {
	// pkg is the package as the go tool is told, "./northbound".
	pkg, name string
}

// String names the target as people do.
func (t target) String() string { return t.pkg + " " + t.name }

var declaration = regexp.MustCompile(`^func (Fuzz\w*)\(`)

// targets finds the fuzz tests in the tree below root, in the order of their packages. Modules of
// their own are no part of the tree.
func targets(root string) ([]target, error) {
	var out []target
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || isModule(path)):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			if m := declaration.FindStringSubmatch(lines.Text()); m != nil {
				out = append(out, target{"./" + filepath.ToSlash(dir), m[1]})
			}
		}
		return nil
	})
	return out, err
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
