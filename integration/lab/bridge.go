package lab

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
)

// BridgeOptions describe one real bridge of a host and the VLAN networks on it.
type BridgeOptions struct {
	// Name is the bridge's name, xenbr0 for the first NIC's on a real host.
	Name string
	// Uplink gives the bridge a NIC: ethN, in the order of the bridges.
	Uplink bool
	// Bond gives it two NICs in a bond, called bondN, instead of one.
	Bond bool
	// BondMode is balance-slb (XAPI's default, taken when empty) or active-backup.
	BondMode string
	// Segment is the part of the fabric the NICs are connected to; empty means the
	// underlay that carries the hosts' addresses.
	Segment string
	// VLANs maps names of fake bridges, which XAPI calls xapiN, to their tags.
	VLANs map[string]uint16
	// NetworkUUID is written to the bridge's external_ids:xs-network-uuids.
	NetworkUUID string
	// VLANNetworkUUIDs are the network uuids of the fake bridges by name. XAPI
	// writes them to the parent bridge, as "VLAN's;parent's", each overwriting the
	// one before; so does the lab, in the order of the names.
	VLANNetworkUUIDs map[string]string
}

// bridge makes the NICs of a bridge and returns the ovs-vsctl commands that make
// the bridge itself. other_config:hwaddr, which survives emer-reset, gives the
// bridge its first NIC's address, and so a datapath id that stays.
func (h *Host) bridge(ctx context.Context, opts BridgeOptions) ([]string, error) {
	var nics []string
	count := 0
	switch {
	case opts.Bond:
		count = 2
	case opts.Uplink:
		count = 1
	}
	for range count {
		nic, err := h.addNIC(ctx, opts.Segment)
		if err != nil {
			return nil, err
		}
		nics = append(nics, nic)
	}
	hwaddr := net.HardwareAddr(h.macOf("bridge", opts.Name)).String()
	if len(nics) > 0 {
		hwaddr = net.HardwareAddr(h.macOf("nic", nics[0])).String()
	}
	commands := []string{"add-br", opts.Name,
		"--", "set", "Bridge", opts.Name, "datapath_type=netdev", "fail_mode=standalone",
		`other_config:hwaddr="` + hwaddr + `"`, "other_config:mac-table-size=10000"}
	switch {
	case opts.Bond:
		mode := opts.BondMode
		if mode == "" {
			mode = "balance-slb"
		}
		bond := "bond" + strings.TrimPrefix(nics[0], "eth")
		commands = append(commands, "--", "add-bond", opts.Name, bond, nics[0], nics[1], "bond_mode="+mode)
	case opts.Uplink:
		commands = append(commands, "--", "add-port", opts.Name, nics[0])
	}
	return append(commands, opts.networks()...), nil
}

// networks are the ovs-vsctl commands for the fake bridges and network uuids.
func (b BridgeOptions) networks() []string {
	var commands []string
	names := make([]string, 0, len(b.VLANs))
	for name := range b.VLANs {
		names = append(names, name)
	}
	slices.Sort(names)
	uuids := b.NetworkUUID
	for _, name := range names {
		commands = append(commands, "--", "add-br", name, b.Name, fmt.Sprint(b.VLANs[name]))
		if vlan := b.VLANNetworkUUIDs[name]; vlan != "" {
			uuids = vlan + ";" + b.NetworkUUID
		}
	}
	if uuids != "" {
		commands = append(commands, "--", "br-set-external-id", b.Name, "xs-network-uuids", uuids)
	}
	return commands
}

func (h *Host) macOf(kind, name string) []byte {
	mac := h.lab.generatedMAC(kind, h.ShortName+"/"+name)
	return mac[:]
}

// addNIC cables a new NIC of the host to the fabric.
func (h *Host) addNIC(ctx context.Context, segment string) (string, error) {
	if segment == "" {
		segment = underlay
	}
	h.mu.Lock()
	nic := fmt.Sprintf("eth%d", h.nextNIC)
	h.nextNIC++
	h.mu.Unlock()
	port, err := h.lab.cable(ctx, h.Namespace, nic, segment)
	if err != nil {
		return "", err
	}
	h.mu.Lock()
	h.ports = append(h.ports, port)
	h.mu.Unlock()
	return nic, h.lab.ipBatch(ctx, h.Namespace,
		fmt.Sprintf("link set %s address %s up", nic, net.HardwareAddr(h.macOf("nic", nic))))
}

// nicPorts are the fabric's ends of the host's NICs.
func (h *Host) nicPorts() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ports)
}

// AddBridge adds a bridge to a running host. The host's address stays where it is.
func (h *Host) AddBridge(ctx context.Context, opts BridgeOptions) error {
	commands, err := h.bridge(ctx, opts)
	if err != nil {
		return err
	}
	_, err = h.Vsctl(ctx, commands...)
	return err
}
