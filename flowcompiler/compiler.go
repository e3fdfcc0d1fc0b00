package flowcompiler

import (
	"iter"
	"maps"
	"reflect"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// Compiler holds what one bridge should know and the flows that follow from it.
// Set and Remove calls only take note; Commit compiles what they touched. The
// flows depend on what has been set, never on the order of the calls.
//
// A Compiler must not be used concurrently.
type Compiler struct {
	state
	program *program
	gotos   [256]flow.Instructions
	// moved are the places that learned addresses have left since the last Commit.
	moved map[departure]struct{}

	// dirty are the parts to compile at the next Commit, dirtyPorts the ports whose
	// configuration to look at again.
	dirty      map[partID]struct{}
	dirtyPorts map[uint32]struct{}
	configs    map[uint32]PortConfig
	meters     map[uint32]Meter
	// crowded are the policies with lists that do not fit.
	crowded map[partID][]Excess
	// privateOnly is what the last Commit found; see state.onlyPrivateNetworks.
	privateOnly bool
}

// New returns a compiler for a network bridge on which nothing is known yet.
func New() *Compiler {
	c := &Compiler{
		state:      newState(),
		program:    newProgram(),
		moved:      make(map[departure]struct{}),
		dirty:      map[partID]struct{}{{kind: partBase}: {}},
		dirtyPorts: make(map[uint32]struct{}),
		configs:    make(map[uint32]PortConfig),
		meters:     make(map[uint32]Meter),
		crowded:    make(map[partID][]Excess),
	}
	for _, row := range tables {
		c.gotos[row.Table] = flow.Goto(uint8(row.Table))
	}
	return c
}

// SetBridge says what the bridge is. Called again with something else, it
// compiles everything anew.
func (c *Compiler) SetBridge(b Bridge) {
	if c.bridge == b {
		return
	}
	c.bridge = b
	c.touchAll()
}

// SetNetwork adds a network, or replaces the one with its ID.
func (c *Compiler) SetNetwork(n Network) {
	old := c.networks[n.ID]
	if old != nil && reflect.DeepEqual(*old, n) {
		return
	}
	n.Rules = slices.Clone(n.Rules)
	c.networks[n.ID] = &n
	c.touchNetwork(old, &n)
}

// RemoveNetwork removes a network. VIFs still on it pass nothing.
func (c *Compiler) RemoveNetwork(id uint32) {
	if old := c.networks[id]; old != nil {
		delete(c.networks, id)
		c.touchNetwork(old, nil)
	}
}

// SetVIF adds a VIF, or replaces the one with its ID.
func (c *Compiler) SetVIF(v VIF) {
	old := c.vifs[v.ID]
	if old != nil && reflect.DeepEqual(*old, v) {
		return
	}
	v.Ports = ordinaryPorts(v.Ports)
	v.IPv4, v.IPv6 = slices.Clone(v.IPv4), slices.Clone(v.IPv6)
	v.Rules = slices.Clone(v.Rules)
	v.Pairs, v.VRRP, v.Trunks = slices.Clone(v.Pairs), slices.Clone(v.VRRP), slices.Clone(v.Trunks)
	v.Groups = slices.Clone(v.Groups)
	c.vifMoved(old, &v)
	c.forgetVIF(old)
	c.vifs[v.ID] = &v
	c.indexVIF(&v)
	c.touchVIF(&v)
}

// RemoveVIF removes a VIF.
func (c *Compiler) RemoveVIF(id uint32) {
	c.forgetVIF(c.vifs[id])
}

func (c *Compiler) forgetVIF(v *VIF) {
	if v == nil {
		return
	}
	c.touchVIF(v)
	c.unindexVIF(v)
	delete(c.vifs, v.ID)
}

// ovsdbLocal is the number that OVSDB reports for the bridge's own port; in
// OpenFlow 1.3 that port is flow.PortLocal.
const ovsdbLocal = 0xfffe

// maxPort is the highest number that Open vSwitch gives an ordinary port.
const maxPort = 0xfeff

// ordinaryPorts returns those of the numbers that a port can have, in order and
// each once. An interface that has no number yet is reported as 0. One flow that
// the switch refuses would keep it from taking any.
func ordinaryPorts(numbers []uint32) []uint32 {
	ports := slices.DeleteFunc(slices.Clone(numbers), func(n uint32) bool { return n == 0 || n > maxPort })
	slices.Sort(ports)
	return slices.Compact(ports)
}

// portNumber returns a port number as OpenFlow 1.3 has it.
func portNumber(ofport uint32) uint32 {
	if ofport == ovsdbLocal {
		return flow.PortLocal
	}
	return ofport
}

// SetPort adds a port that belongs to no VIF, or replaces the one with its
// number. The bridge's own port may be given as OVSDB numbers it (65534) or as
// OpenFlow does. A port without a number (0) is not there yet, and is left out.
func (c *Compiler) SetPort(p Port) {
	p.OFPort = portNumber(p.OFPort)
	if p.OFPort != flow.PortLocal && len(ordinaryPorts([]uint32{p.OFPort})) == 0 {
		return
	}
	old := c.ports[p.OFPort]
	if old != nil && *old == p {
		return
	}
	c.forgetPort(old)
	c.ports[p.OFPort] = &p
	c.indexPort(&p)
	c.touchPort(&p)
}

// RemovePort removes a port.
func (c *Compiler) RemovePort(ofport uint32) {
	c.forgetPort(c.ports[portNumber(ofport)])
}

func (c *Compiler) forgetPort(p *Port) {
	if p == nil {
		return
	}
	c.touchPort(p)
	c.unindexPort(p)
	delete(c.ports, p.OFPort)
}

// SetRemote adds another host's membership in a private network, or replaces
// the one of the same network and host.
func (c *Compiler) SetRemote(r Remote) {
	key := remoteKey{r.Network, r.Host}
	old := c.remotes[key]
	if old != nil && old.Via == r.Via && old.Pass == r.Pass && slices.Equal(old.MACs, r.MACs) && slices.Equal(old.Moving, r.Moving) {
		return
	}
	r.MACs, r.Moving = slices.Clone(r.MACs), slices.Clone(r.Moving)
	c.remoteMoved(old, &r)
	if old == nil || old.Via != r.Via || old.Pass != r.Pass {
		c.touchGroupsOn(r.Network)
	}
	c.remotes[key] = &r
	c.remotesOn.add(r.Network, r.Host)
	c.touchRemote(&r)
}

// RemoveRemote removes another host's membership.
func (c *Compiler) RemoveRemote(network, host uint32) {
	old := c.remotes[remoteKey{network, host}]
	if old == nil {
		return
	}
	c.remoteMoved(old, &Remote{})
	delete(c.remotes, remoteKey{network, host})
	c.remotesOn.remove(network, host)
	c.touchGroupsOn(network)
	c.touchRemote(old)
}

// Len returns the number of flows as of the last Commit.
func (c *Compiler) Len() int { return c.program.held }

// Flows yields all flows as of the last Commit, by table, then priority from the
// highest, then match.
func (c *Compiler) Flows() iter.Seq[flow.Flow] {
	return slices.Values(c.program.sorted())
}

// PortConfigs returns the configuration, as of the last Commit, of every port
// that is a VIF's or foreign. That of all other ports is not ours to set.
func (c *Compiler) PortConfigs() map[uint32]PortConfig { return maps.Clone(c.configs) }
