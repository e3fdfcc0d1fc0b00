package flowcompiler

import "testing"

func TestGoldenTunnelOut(t *testing.T) {
	t.Parallel()
	golden(t, TableTunnelOut, "base", Input{Bridge: Bridge{Kind: OverlayBridge}})
	golden(t, TableTunnelOut, "overlay", overlayInput())
	gre := overlayInput()
	gre.Remotes = []Remote{
		{Network: netRed, Tunnel: Tunnel{Host: hostTwo, GRE: true}},
		{Network: netBlue, Tunnel: Tunnel{Host: hostTwo}},
	}
	gre.Ports = append(gre.Ports, Port{OFPort: 22, Kind: PortTunnel, Tunnel: Tunnel{Host: hostTwo, GRE: true}})
	golden(t, TableTunnelOut, "gre_and_vxlan", gre)
	// A member whose tunnel is not there yet.
	missing := overlayInput()
	missing.Ports = missing.Ports[:3]
	golden(t, TableTunnelOut, "tunnel_missing", missing)
}
