package flowcompiler

import "testing"

func TestGoldenOutState(t *testing.T) {
	t.Parallel()
	golden(t, TableOutState, "base", Input{})
}
