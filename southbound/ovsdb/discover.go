package ovsdb

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"poolwire/southbound/openflow/flow"
)

// maxVLAN is the highest VLAN id that can be used.
const maxVLAN = 4094

// Discover reads a host's topology from a snapshot. It is pure: equal snapshots
// give equal topologies. Rows that make no sense are left out.
func Discover(s *Snapshot) Topology {
	d := discovery{snapshot: s, visited: map[string]bool{}, listed: map[string]bool{}, interfaces: map[string]*InterfaceRow{}}
	if root := s.OpenVSwitch; root != nil {
		ids := root.ExternalIDs
		d.topology = Topology{
			SystemID: ids[keySystemID], XSSystemUUID: ids[keyXSSystemUUID],
			OVSVersion: root.OVSVersion, DBVersion: root.DBVersion,
			EncapIP: ids[KeyEncapIP], IPsecKeys: ipsecKeys(root.OtherConfig), Owner: ids[KeyCluster], Epoch: claimedEpoch(ids),
		}
	}
	for _, uuid := range names(s.Interfaces) {
		d.interfaces[s.Interfaces[uuid].Name] = s.Interfaces[uuid]
	}
	for _, uuid := range names(s.Bridges) {
		d.bridge(s.Bridges[uuid])
	}
	d.topology.ManagerClients = managerClients(s)
	slices.SortFunc(d.topology.Bridges, func(a, b Bridge) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(d.topology.Ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Bridge, b.Bridge), cmp.Compare(a.Name, b.Name), cmp.Compare(a.InterfaceUUID, b.InterfaceUUID))
	})
	return d.topology
}

// managerClients counts who has dialled the host. A manager with one client says no number (ovs-vswitchd.conf.db(5)).
func managerClients(s *Snapshot) int {
	clients := 0
	for _, m := range s.Managers {
		if !m.IsConnected || !strings.HasPrefix(m.Target, "pssl:") && !strings.HasPrefix(m.Target, "ptcp:") {
			continue
		}
		n, err := strconv.Atoi(m.Status[statusConnections])
		if err != nil || n < 1 {
			n = 1
		}
		clients += n
	}
	return clients
}

// IPsecKeys are the keys of Open_vSwitch.other_config by which ovs-monitor-ipsec finds a host's certificate, sorted.
func IPsecKeys() []string { return []string{"ca_cert", "certificate", "private_key"} }

// ipsecKeys lists those that are set.
func ipsecKeys(config map[string]string) []string {
	var out []string
	for _, key := range IPsecKeys() {
		if config[key] != "" {
			out = append(out, key)
		}
	}
	return out
}

type discovery struct {
	snapshot *Snapshot
	topology Topology
	// visited holds the ports and listed the interfaces that have been looked at: a
	// hostile host may refer to one from thousands of places.
	visited, listed map[string]bool
	// interfaces by name.
	interfaces map[string]*InterfaceRow
}

func (d *discovery) bridge(row *BridgeRow) {
	var ports []*PortRow
	fakes := map[uint16]string{}
	for _, uuid := range row.Ports {
		p := d.snapshot.Ports[uuid]
		if p == nil || d.visited[uuid] {
			continue
		}
		d.visited[uuid] = true
		ports = append(ports, p)
		if vlan := vlanOf(p); p.FakeBridge && vlan != 0 {
			if was, taken := fakes[vlan]; !taken || p.Name < was {
				fakes[vlan] = p.Name
			}
		}
	}
	b := Bridge{
		Name: row.Name, RowUUID: row.UUID, DatapathID: row.DatapathID, DatapathType: row.DatapathType,
		FailMode: row.FailMode, Snooping: row.Snooping, Protocols: row.Protocols, Owned: ownedBy(row.ExternalIDs, d.topology.Owner),
		ExternalIDs: row.ExternalIDs, DisableInBand: row.OtherConfig[keyDisableInBand] == "true",
		Controllers: d.controllers(row),
	}
	if len(fakes) == 0 {
		b.NetworkUUIDs = networkUUIDs(row.ExternalIDs)
	}
	d.describeLocal(&b)
	d.topology.Bridges = append(d.topology.Bridges, b)
	for _, p := range ports {
		if p.FakeBridge && vlanOf(p) != 0 {
			d.fakeBridge(b, p)
		}
		d.port(row, p, fakes)
	}
}

// fakeBridge adds the bridge that ovs-vsctl shows for a tagged internal port.
func (d *discovery) fakeBridge(parent Bridge, p *PortRow) {
	ids := make(map[string]string, len(p.ExternalIDs))
	for k, v := range p.ExternalIDs {
		if bare, prefixed := strings.CutPrefix(k, fakePrefix); prefixed {
			ids[bare] = v
		} else if _, better := p.ExternalIDs[fakePrefix+k]; !better {
			ids[k] = v
		}
	}
	b := Bridge{
		Name: p.Name, RowUUID: p.UUID, DatapathType: parent.DatapathType, FailMode: parent.FailMode,
		Snooping: parent.Snooping, Parent: parent.Name, VLAN: vlanOf(p), ExternalIDs: ids, NetworkUUIDs: networkUUIDs(ids),
		Owned: ownedBy(p.ExternalIDs, d.topology.Owner), DisableInBand: parent.DisableInBand,
	}
	d.describeLocal(&b)
	d.topology.Bridges = append(d.topology.Bridges, b)
}

// describeLocal fills in what the bridge's own interface tells.
func (d *discovery) describeLocal(b *Bridge) {
	if i := d.interfaces[b.Name]; i != nil {
		b.LocalMAC = parseMAC(i.MACInUse)
		b.MTU = mtuOf(i)
	}
}

func (d *discovery) controllers(row *BridgeRow) []ControllerState {
	var out []ControllerState
	for _, uuid := range row.Controllers {
		c := d.snapshot.Controllers[uuid]
		if c == nil {
			continue
		}
		out = append(out, ControllerState{
			Target: c.Target, Connected: c.IsConnected, Role: c.Role, LastError: c.Status["last_error"],
			Owned: ownedBy(c.ExternalIDs, d.topology.Owner),
		})
	}
	slices.SortFunc(out, func(a, b ControllerState) int { return cmp.Compare(a.Target, b.Target) })
	return out
}

// networkUUIDs splits xs-network-uuids.
func networkUUIDs(ids map[string]string) []string {
	var out []string
	for _, uuid := range strings.Split(ids[keyXSNetworks], ";") {
		if uuid = strings.TrimSpace(uuid); uuid != "" {
			out = append(out, uuid)
		}
	}
	return out
}

func claimedEpoch(ids map[string]string) uint64 {
	n, err := strconv.ParseUint(ids[KeyEpoch], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// vlanOf is the tag of a port, 0 for none or one that is not a VLAN id.
func vlanOf(p *PortRow) uint16 {
	if !p.Tag.Set || p.Tag.Value < 1 || p.Tag.Value > maxVLAN {
		return 0
	}
	return uint16(p.Tag.Value)
}

// parseMAC is the zero address for anything that is none.
func parseMAC(text string) flow.MAC {
	mac, err := flow.ParseMAC(text)
	if err != nil {
		return flow.MAC{}
	}
	return mac
}

func mtuOf(i *InterfaceRow) int {
	const largest = 65535
	if !i.MTU.Set || i.MTU.Value < 0 || i.MTU.Value > largest {
		return 0
	}
	return int(i.MTU.Value)
}
