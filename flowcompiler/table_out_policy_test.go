package flowcompiler

import "testing"

func TestGoldenOutPolicy(t *testing.T) {
	t.Parallel()
	golden(t, TableOutPolicy, "base", Input{})
}
