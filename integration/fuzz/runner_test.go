package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tree makes files in a directory of their own.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestRunner(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{
		"a/x_test.go":         "package a\nfunc FuzzOne(f *testing.F) {\nfunc TestTwo(t *testing.T) {\n",
		"a/x.go":              "package a\nfunc FuzzNot(f *testing.F) {\n",
		"b/c/y_test.go":       "package c\nfunc FuzzTwo(f *testing.F) {\nfunc FuzzThree(f *testing.F) {\n",
		"other/go.mod":        "module other\n",
		"other/z_test.go":     "package z\nfunc FuzzFour(f *testing.F) {\n",
		"b/testdata/_test.go": "func FuzzFive(f *testing.F) {\n",
	})
	var out bytes.Buffer
	r := runner{out: &out, each: time.Second, lanes: 3, run: func(_ context.Context, _ string, tg target, _ time.Duration) (string, error) {
		text := "fuzz: elapsed: 0s, gathering baseline coverage: 0/3 completed\nfuzz: elapsed: 1s, execs: 10 (10/sec), new interesting: 1 (total: 4)\n" +
			"fuzz: elapsed: 2s, execs: 25 (15/sec), new interesting: 2 (total: 5)\nPASS\n"
		if tg.name == "FuzzTwo" {
			return text + "Failing input written to testdata/fuzz/FuzzTwo/1234", errors.New("exit status 1")
		}
		return text, nil
	}}
	if err := r.everything(context.Background(), root); !errors.Is(err, errFailed) {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{
		"ok   ./a FuzzOne: fuzz: elapsed: 2s, execs: 25 (15/sec), new interesting: 2 (total: 5)\n", "FAIL ./b/c FuzzTwo: exit status 1\n", "testdata/fuzz/FuzzTwo/1234\n",
		"fuzz: 3 targets, 1s each, 0 s, 75 execs, 6 new interesting, 1 failures\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	r.total, r.only = summary{}, "b/c FuzzThree"
	if err := r.everything(context.Background(), root); err != nil || r.total.targets != 1 {
		t.Errorf("only one: %d targets, %v", r.total.targets, err)
	}
	r.total, r.only = summary{}, "nothing"
	if err := r.everything(context.Background(), root); err == nil {
		t.Error("running nothing succeeds")
	}
}
