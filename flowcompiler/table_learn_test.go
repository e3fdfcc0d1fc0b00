package flowcompiler

import "testing"

func TestGoldenLearn(t *testing.T) {
	t.Parallel()
	external := externalInput()
	from := []Rule{{ID: 11, Direction: From, Protocol: IP}}
	external.VIFs[0].Rules = from
	external.VIFs[1].Rules, external.VIFs[1].Locking = from, Locked
	golden(t, TableLearn, "base", Input{})
	golden(t, TableLearn, "base_overlay", Input{Bridge: Bridge{Kind: OverlayBridge}})
	golden(t, TableLearn, "external", external)
	external.Bridge.NoLearnLimit = true
	golden(t, TableLearn, "external_no_limit", external)
	private := examplePrivate()
	private.VIFs[1].Locking = Locked
	private.VIFs[2].MAC = [6]byte{}
	golden(t, TableLearn, "private", private)
	golden(t, TableLearn, "overlay", overlayInput())
	private.Bridge.NoLearnLimit = true
	golden(t, TableLearn, "private_no_limit", private)
}
