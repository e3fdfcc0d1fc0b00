package flowcompiler

import (
	"testing"

	"poolwire/overlay"
)

func TestGoldenTunnelOut(t *testing.T) {
	t.Parallel()
	golden(t, TableTunnelOut, "base", Input{Bridge: Bridge{Kind: OverlayBridge}})
	golden(t, TableTunnelOut, "overlay", overlayInput())
	gre, blue := overlayInput(), Tunnel{Host: hostTwo}
	red := Tunnel{Host: hostTwo, Encapsulation: overlay.GRE}
	gre.Remotes = nil
	gre.Links = []Link{{Network: netRed, Tunnel: red}, {Network: netBlue, Tunnel: blue}}
	gre.Floods = map[uint32][]Hop{netRed: {{Tunnel: red}}, netBlue: {{Tunnel: blue}}}
	gre.Ports = append(gre.Ports, Port{OFPort: 22, Kind: PortTunnel, Tunnel: red})
	golden(t, TableTunnelOut, "gre_and_vxlan", gre)
	golden(t, TableTunnelOut, "star_centre", starCentre())
	golden(t, TableTunnelOut, "hub", hubInput())
	// A member whose tunnel is not there yet.
	missing := overlayInput()
	missing.Ports = missing.Ports[:3]
	golden(t, TableTunnelOut, "tunnel_missing", missing)
}
