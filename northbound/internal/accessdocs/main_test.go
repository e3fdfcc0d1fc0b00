package main

import (
	"bytes"
	"os"
	"testing"
)

// The page has the table of this version: `go generate ./northbound` writes it.
func TestPageIsUpToDate(t *testing.T) {
	t.Parallel()
	have, err := os.ReadFile(pagePath("../.."))
	if err != nil {
		t.Fatal(err)
	}
	want, err := render(have)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("docs/access.md is not what go generate writes")
	}
}
