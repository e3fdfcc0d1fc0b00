package flowcompiler

import "testing"

func TestGoldenInTrack(t *testing.T) {
	t.Parallel()
	golden(t, TableInTrack, "base", Input{})
}
