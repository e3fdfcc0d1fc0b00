package flowcompiler

import "testing"

func TestGoldenDestination(t *testing.T) {
	t.Parallel()
	external := externalInput()
	from := []Rule{{ID: 11, Direction: From, Protocol: IP}}
	external.VIFs[0].Rules, external.VIFs[2].Rules = from, from
	private := examplePrivate()
	private.VIFs[1].Locking = Disabled
	golden(t, TableDestination, "base", Input{Bridge: Bridge{LocalMAC: hostMAC}})
	golden(t, TableDestination, "base_private", Input{Bridge: Bridge{LocalMAC: hostMAC}, Networks: redInput().Networks})
	golden(t, TableDestination, "base_overlay", Input{Bridge: Bridge{Kind: OverlayBridge}})
	golden(t, TableDestination, "external", external)
	golden(t, TableDestination, "private", private)
	golden(t, TableDestination, "overlay", overlayInput())
}
