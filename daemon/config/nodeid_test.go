package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"poolwire/daemon/config"
)

func TestNodeIDIsMadeOnce(t *testing.T) {
	t.Parallel()
	c := config.Config{DataDir: filepath.Join(t.TempDir(), "a", "b")}
	first, err := c.EnsureNodeID()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := uuid.Parse(first); err != nil {
		t.Errorf("%q: %v", first, err)
	}
	if again, err := c.EnsureNodeID(); err != nil || again != first {
		t.Errorf("second start: %q, %v, want %q", again, err, first)
	}
	entries, err := os.ReadDir(c.DataDir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}

func TestConfiguredNodeIDIsKept(t *testing.T) {
	t.Parallel()
	c := config.Config{DataDir: t.TempDir(), NodeID: "n1"}
	if got, err := c.EnsureNodeID(); err != nil || got != "n1" {
		t.Fatalf("%q, %v", got, err)
	}
	c.NodeID = ""
	if got, err := c.EnsureNodeID(); err != nil || got != "n1" {
		t.Errorf("no longer configured: %q, %v", got, err)
	}
	c.NodeID = "n2"
	_, err := c.EnsureNodeID()
	var field *config.FieldError
	if !errors.As(err, &field) || field.Field != "node_id" || !strings.Contains(err.Error(), `"n1"`) {
		t.Errorf("changed: %v", err)
	}
}

func TestDamagedNodeID(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "a b\n", "../x"} {
		c := config.Config{DataDir: t.TempDir(), NodeID: "n1"}
		if err := os.WriteFile(filepath.Join(c.DataDir, "node_id"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := c.EnsureNodeID(); err == nil || !strings.Contains(err.Error(), "node_id") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
