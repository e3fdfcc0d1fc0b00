package lab

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := enter(t.Context(), dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	second, err := enter(t.Context(), dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer second()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := enter(short, dir, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a third in two slots: %v", err)
	}
	entered := make(chan error, 1)
	go func() {
		leave, err := enter(t.Context(), dir, 2)
		if err == nil {
			leave()
		}
		entered <- err
	}()
	first()
	if err := <-entered; err != nil {
		t.Error("after one left:", err)
	}
}
