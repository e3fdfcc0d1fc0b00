package flowcompiler

import "testing"

func TestGoldenDenied(t *testing.T) {
	t.Parallel()
	golden(t, TableDenied, "base", Input{})
	golden(t, TableDenied, "base_no_meters", Input{Bridge: Bridge{NoMeters: true}})
}
