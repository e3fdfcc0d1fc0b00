package flowcompiler

import "testing"

func TestGoldenClassify(t *testing.T) {
	t.Parallel()
	private := redInput()
	private.Ports = append(private.Ports, Port{OFPort: 30, Kind: PortForeign, Network: netRed}, Port{OFPort: 31, Kind: PortUplink, Network: netRed},
		Port{OFPort: 32, Kind: PortTunnel})
	roles := externalInput()
	roles.VIFs[0].Locking = Locked
	roles.VIFs[1].Rules = []Rule{{ID: 11, Direction: To, Protocol: IP}}
	roles.VIFs[2].Ports = []uint32{3, 4}
	roles.Ports = append(roles.Ports, Port{OFPort: 30, Kind: PortForeign, Network: netUntagged}, Port{OFPort: 31, Kind: PortForeign, Network: netTen},
		Port{OFPort: 32, Kind: PortTunnel}, Port{OFPort: 33, Kind: PortPatch})
	shut := externalInput()
	shut.Networks[0].DefaultLocking = Disabled
	shut.VIFs[0].Locking = Disabled
	shut.VIFs[2].Network = 99
	shut.Ports = append(shut.Ports, Port{OFPort: 30, Kind: PortForeign, Network: netUntagged}, Port{OFPort: 31, Kind: PortForeign, Network: 99})
	golden(t, TableClassify, "base", Input{Bridge: Bridge{AdmitUnclassified: true}})
	golden(t, TableClassify, "base_not_admitted", Input{})
	golden(t, TableClassify, "base_private", Input{Bridge: Bridge{AdmitUnclassified: true}, Networks: redInput().Networks})
	golden(t, TableClassify, "base_overlay", Input{Bridge: Bridge{Kind: OverlayBridge, AdmitUnclassified: true}})
	golden(t, TableClassify, "roles", roles)
	golden(t, TableClassify, "shut", shut)
	golden(t, TableClassify, "private", private)
	golden(t, TableClassify, "overlay", overlayInput())
}
