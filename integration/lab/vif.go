package lab

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"poolwire/integration/lab/frame"
)

// VIF is a VM's network card and, while it is plugged in, its port on a host.
type VIF struct {
	// Device is its number within the VM; the VM calls it eth<Device>.
	Device int
	// UUID is its XAPI uuid.
	UUID string
	// Bridge is the bridge or fake bridge it is plugged into.
	Bridge string
	// NetworkUUID is what xs-network-uuid says.
	NetworkUUID string
	// IfaceID is set for a port of libvirt's or OVN's kind.
	IfaceID string
	// MAC is the address it was made with; the VM may send from others.
	MAC frame.MAC
	// IPv4 and IPv6 are its addresses with their prefix, or the zero Prefix.
	IPv4, IPv6 netip.Prefix

	vm  *VM
	tap bool
	mtu int
	// domain is the domain id of the host it was last plugged into; guarded by vm.mu.
	domain int
}

// newVIF makes a VIF's devices. The far end of an unplugged VIF is parked inside
// the VM's own namespace and goes with it.
func (vm *VM) newVIF(ctx context.Context, opts VIFOptions) (*VIF, error) {
	l := vm.lab
	device := len(vm.VIFs())
	name := fmt.Sprintf("%s/%d", vm.ShortName, device)
	vif := &VIF{Device: device, UUID: opts.VIFUUID, Bridge: opts.Bridge, NetworkUUID: opts.NetworkUUID,
		IfaceID: opts.IfaceID, MAC: opts.MAC, IPv4: opts.IPv4, IPv6: opts.IPv6, vm: vm, tap: opts.Tap, mtu: opts.MTU}
	if vif.UUID == "" {
		vif.UUID = l.uuid("vif", name)
	}
	if vif.NetworkUUID == "" {
		vif.NetworkUUID = l.uuid("network", opts.Bridge)
	}
	if vif.MAC == (frame.MAC{}) {
		vif.MAC = l.generatedMAC("vif", name)
	}
	if vif.mtu == 0 {
		vif.mtu = 1500
	}
	lines := []string{
		fmt.Sprintf("link add %s address %s mtu %d type veth peer name %s mtu %d",
			vif.Card(), vif.MAC, vif.mtu, vif.parked(), vif.mtu),
		fmt.Sprintf("link set %s up", vif.Card()),
	}
	if vif.IPv4.IsValid() {
		lines = append(lines, fmt.Sprintf("addr add %s dev %s", vif.IPv4, vif.Card()))
	}
	if vif.IPv6.IsValid() {
		lines = append(lines, fmt.Sprintf("addr add %s dev %s", vif.IPv6, vif.Card()))
	}
	if err := l.ipBatch(ctx, vm.Namespace, lines...); err != nil {
		return nil, err
	}
	// The userspace datapath takes frames as they are: see cable.
	if _, err := vm.Run(ctx, "ethtool", "-K", vif.Card(), "tx", "off"); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	vm.vifs = append(vm.vifs, vif)
	return vif, nil
}

// Card is the VIF's name inside the VM.
func (v *VIF) Card() string { return fmt.Sprintf("eth%d", v.Device) }

// Port is the name of the VIF's port on the host it is, or was last, plugged into.
func (v *VIF) Port() string { return fmt.Sprintf("vif%d.%d", v.dom(), v.Device) }

// TapPort is the name of the port's twin, which exists only for a VIF with a tap.
func (v *VIF) TapPort() string { return fmt.Sprintf("tap%d.%d", v.dom(), v.Device) }

func (v *VIF) parked() string { return fmt.Sprintf("park%d", v.Device) }

func (v *VIF) dom() int {
	v.vm.mu.Lock()
	defer v.vm.mu.Unlock()
	return v.domain
}

func (v *VIF) setDom(domain int) {
	v.vm.mu.Lock()
	defer v.vm.mu.Unlock()
	v.domain = domain
}

// plug brings the device to the host, up, and then adds it to its bridge, which
// is the order of XCP-ng's vif script: the VM may be sending already.
func (v *VIF) plug(ctx context.Context, h *Host, domain int) error {
	v.setDom(domain)
	l := h.lab
	port, tap := v.Port(), v.TapPort()
	if err := h.dropPlaceholder(ctx, port); err != nil {
		return err
	}
	err := l.ipBatch(ctx, v.vm.Namespace, fmt.Sprintf("link set %s netns %s name %s", v.parked(), h.Name, port))
	if err != nil {
		return err
	}
	lines := []string{fmt.Sprintf("link set %s up", port)}
	if v.tap {
		lines = append(lines, fmt.Sprintf("tuntap add %s mode tap", tap), fmt.Sprintf("link set %s up", tap))
	}
	if err := l.ipBatch(ctx, h.Namespace, lines...); err != nil {
		return err
	}
	commands := v.addPort(port)
	if v.tap {
		commands = append(append(commands, "--"), v.addPort(tap)...)
	}
	if _, err := h.Vsctl(ctx, commands...); err != nil {
		return err
	}
	return h.checkPort(ctx, port)
}

// addPort are the ovs-vsctl words that add a port with the VIF's keys.
func (v *VIF) addPort(port string) []string {
	words := []string{"--if-exists", "del-port", port, "--", "add-port", v.Bridge, port, "--", "set", "Interface", port}
	keys := map[string]string{"attached-mac": v.MAC.String()}
	if v.IfaceID != "" {
		keys["iface-id"], keys["vm-id"] = v.IfaceID, v.vm.UUID
	} else {
		keys["xs-vif-uuid"], keys["xs-vm-uuid"], keys["xs-network-uuid"] = v.UUID, v.vm.UUID, v.NetworkUUID
	}
	for key, value := range keys {
		words = append(words, fmt.Sprintf("external_ids:%s=%q", key, value))
	}
	return words
}

// checkPort fails when a running ovs-vswitchd could not open a port.
func (h *Host) checkPort(ctx context.Context, port string) error {
	if p := h.Vswitchd(); p == nil || !p.Running() {
		return nil
	}
	text, err := h.Vsctl(ctx, "get", "Interface", port, "ofport", "error")
	if err != nil {
		return err
	}
	ofport, problem, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if ofport == "-1" || ofport == "[]" {
		return fmt.Errorf("lab: host %s: port %s: %s", h.ShortName, port, problem)
	}
	return nil
}

// unplug removes the port and then parks the device in the VM again.
func (v *VIF) unplug(ctx context.Context, h *Host) error {
	port, tap := v.Port(), v.TapPort()
	commands := []string{"--if-exists", "del-port", port}
	if v.tap {
		commands = append(commands, "--", "--if-exists", "del-port", tap)
	}
	if _, err := h.Vsctl(ctx, commands...); err != nil {
		return err
	}
	present, err := h.hasLink(port)
	if err != nil || !present {
		return err
	}
	lines := []string{fmt.Sprintf("link set %s netns %s name %s", port, v.vm.Name, v.parked())}
	if v.tap {
		lines = append(lines, fmt.Sprintf("link del %s", tap))
	}
	return h.lab.ipBatch(ctx, h.Namespace, lines...)
}

// SetMAC makes the VM use another address for the card, as a guest can at any
// time. What the host's database says does not change.
func (v *VIF) SetMAC(ctx context.Context, mac frame.MAC) error {
	return v.vm.lab.ipBatch(ctx, v.vm.Namespace, fmt.Sprintf("link set %s address %s", v.Card(), mac))
}

// SetMAC changes the address of the VM's first card from inside the VM.
func (vm *VM) SetMAC(ctx context.Context, mac frame.MAC) error { return vm.VIF().SetMAC(ctx, mac) }

// Announce sends what a guest sends after it has moved: a gratuitous ARP request
// for its IPv4 address (RFC 5227 section 3), an unsolicited neighbour
// advertisement for its IPv6 address (RFC 4861 section 7.2.6), and a RARP request
// when it has neither.
func (v *VIF) Announce() error {
	link := frame.Header{Src: v.MAC, Dst: frame.Broadcast}
	var frames [][]byte
	if v.IPv4.IsValid() {
		frames = append(frames, link.ARP(frame.ARP{
			Op: frame.ARPRequest, SHA: v.MAC, SPA: v.IPv4.Addr(), TPA: v.IPv4.Addr()}))
	}
	if v.IPv6.IsValid() {
		frames = append(frames, frame.UnsolicitedNA(v.MAC, v.IPv6.Addr()))
	}
	if len(frames) == 0 {
		frames = append(frames, frame.RARP(v.MAC))
	}
	return v.vm.send(v.Card(), frames)
}
