package flowcompiler

import "testing"

func TestGoldenDeliver(t *testing.T) {
	t.Parallel()
	golden(t, TableDeliver, "base", Input{})
	golden(t, TableDeliver, "private", examplePrivate())
	apart := redInput()
	apart.Ports = nil
	apart.VIFs[0].Ports = []uint32{7, 1}
	golden(t, TableDeliver, "two_ports_no_patch", apart)
	golden(t, TableDeliver, "external", externalInput())
}
