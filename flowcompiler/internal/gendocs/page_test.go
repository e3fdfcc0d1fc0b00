package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPageIsFresh fails when docs/pipeline.md is not what the code declares.
func TestPageIsFresh(t *testing.T) {
	t.Parallel()
	const folder = "../.."
	want, err := render(folder)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(pagePath(folder))
	if err != nil {
		t.Fatalf("%v (run go generate ./flowcompiler)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/pipeline.md is stale: run go generate ./flowcompiler (-want +got):\n%s", diff)
	}
}
