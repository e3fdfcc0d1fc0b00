package flowcompiler

import "testing"

func TestGoldenVLAN(t *testing.T) {
	t.Parallel()
	golden(t, TableVLAN, "base", Input{Bridge: Bridge{LocalMAC: hostMAC}})
	golden(t, TableVLAN, "networks", externalInput())
	golden(t, TableVLAN, "private", redInput())
}
