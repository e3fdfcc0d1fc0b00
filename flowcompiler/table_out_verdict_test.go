package flowcompiler

import "testing"

func TestGoldenOutVerdict(t *testing.T) {
	t.Parallel()
	golden(t, TableOutVerdict, "base", Input{})
}
