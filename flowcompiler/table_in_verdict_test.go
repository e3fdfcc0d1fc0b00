package flowcompiler

import "testing"

func TestGoldenInVerdict(t *testing.T) {
	t.Parallel()
	golden(t, TableInVerdict, "base", Input{})
}
