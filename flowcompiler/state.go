package flowcompiler

// state is everything that was set, with the ways to find it.
type state struct {
	bridge   Bridge
	networks map[uint32]*Network
	vifs     map[uint32]*VIF
	ports    map[uint32]*Port
	remotes  map[remoteKey]*Remote
	policies map[PolicyScope][]PolicyRule
	peers    map[uint32][]Peer // by network
	reaches  map[PolicyScope]reach
	sets     groupSets

	vifsOn      multimap[uint32, uint32]    // network -> VIFs
	vifsAt      multimap[uint32, uint32]    // port -> VIFs that say it is theirs
	vifsIn      multimap[uint32, uint32]    // VIF group -> VIFs
	vifPages    multimap[floodPage, uint32] // VIFs by their place in the flood list
	portPages   multimap[floodPage, uint32] // host and patch ports by their place in the flood list
	portsOn     multimap[uint32, uint32]    // network -> ports
	patches     multimap[uint32, uint32]    // network -> patch ports
	pagesOn     multimap[uint32, uint32]    // network -> pages of its flood list
	hostPorts   map[uint32]struct{}
	tunnelPorts multimap[Tunnel, uint32] // tunnel -> ports
	remotesOn   multimap[uint32, uint32] // network -> hosts
	overlayState
	neighborState
	multicastState
}

// remoteKey identifies a Remote.
type remoteKey struct {
	network, host uint32
}

// floodPageSize is how many port numbers share a page of a flood list: small
// enough that a change rewrites little, large enough that there are few pages.
const floodPageSize = 64

// floodPage is one page of a private network's flood list. Pages go by port
// number, so that a port's page depends on nothing but the port.
type floodPage struct {
	network uint32
	page    uint32
}

// pageOf returns the page that a port number falls into; pages count from 1.
func pageOf(ofport uint32) uint32 { return ofport/floodPageSize%0xffff + 1 }

func newState() state {
	return state{
		networks: make(map[uint32]*Network),
		vifs:     make(map[uint32]*VIF),
		ports:    make(map[uint32]*Port),
		remotes:  make(map[remoteKey]*Remote),
		policies: make(map[PolicyScope][]PolicyRule),
		peers:    make(map[uint32][]Peer),
		reaches:  make(map[PolicyScope]reach),

		vifsOn:      make(multimap[uint32, uint32]),
		vifsAt:      make(multimap[uint32, uint32]),
		vifsIn:      make(multimap[uint32, uint32]),
		vifPages:    make(multimap[floodPage, uint32]),
		portPages:   make(multimap[floodPage, uint32]),
		portsOn:     make(multimap[uint32, uint32]),
		patches:     make(multimap[uint32, uint32]),
		pagesOn:     make(multimap[uint32, uint32]),
		hostPorts:   make(map[uint32]struct{}),
		tunnelPorts: make(multimap[Tunnel, uint32]),
		remotesOn:   make(multimap[uint32, uint32]),

		overlayState:  newOverlayState(),
		neighborState: newNeighborState(), multicastState: newMulticastState(),
	}
}

// onlyPrivateNetworks tells whether the bridge carries private networks and nothing
// else. Such a bridge never uses NORMAL.
func (s *state) onlyPrivateNetworks() bool {
	for _, n := range s.networks {
		if !n.Private {
			return false
		}
	}
	return len(s.networks) > 0
}

// vifPage returns the VIF's place in the flood list.
func vifPage(v *VIF) (page floodPage, ok bool) {
	if len(v.Ports) == 0 {
		return floodPage{}, false
	}
	return floodPage{v.Network, pageOf(v.Ports[0])}, true
}

func (s *state) indexVIF(v *VIF) {
	s.vifsOn.add(v.Network, v.ID)
	for _, port := range v.Ports {
		s.vifsAt.add(port, v.ID)
	}
	for _, group := range v.Groups {
		s.vifsIn.add(group, v.ID)
	}
	s.sets.stale = s.sets.stale || len(v.Groups) > 0
	if page, ok := vifPage(v); ok {
		s.vifPages.add(page, v.ID)
		s.pagesOn.add(page.network, page.page)
	}
}

func (s *state) unindexVIF(v *VIF) {
	s.vifsOn.remove(v.Network, v.ID)
	for _, port := range v.Ports {
		s.vifsAt.remove(port, v.ID)
	}
	for _, group := range v.Groups {
		s.vifsIn.remove(group, v.ID)
	}
	s.sets.stale = s.sets.stale || len(v.Groups) > 0
	if page, ok := vifPage(v); ok {
		s.vifPages.remove(page, v.ID)
		s.dropEmptyPage(page)
	}
}

// dropEmptyPage forgets a page of a flood list that nothing is on any more.
func (s *state) dropEmptyPage(page floodPage) {
	if len(s.vifPages[page]) == 0 && len(s.portPages[page]) == 0 {
		s.pagesOn.remove(page.network, page.page)
	}
}

// portPage returns the port's place in the flood list of its network.
func portPage(p *Port) (page floodPage, ok bool) {
	if p.Kind != PortHost && p.Kind != PortPatch && p.Kind != PortForeignTunnel {
		return floodPage{}, false
	}
	return floodPage{p.Network, pageOf(p.OFPort)}, true
}

func (s *state) indexPort(p *Port) {
	s.portsOn.add(p.Network, p.OFPort)
	if page, ok := portPage(p); ok {
		s.portPages.add(page, p.OFPort)
		s.pagesOn.add(page.network, page.page)
	}
	switch p.Kind {
	case PortHost:
		s.hostPorts[p.OFPort] = struct{}{}
	case PortPatch:
		s.patches.add(p.Network, p.OFPort)
	case PortTunnel:
		s.tunnelPorts.add(p.Tunnel, p.OFPort)
	case PortUplink:
		s.uplinks[p.OFPort] = struct{}{}
	case PortForeign, PortForeignTunnel, PortRelieved:
	}
}

func (s *state) unindexPort(p *Port) {
	s.portsOn.remove(p.Network, p.OFPort)
	if page, ok := portPage(p); ok {
		s.portPages.remove(page, p.OFPort)
		s.dropEmptyPage(page)
	}
	switch p.Kind {
	case PortHost:
		delete(s.hostPorts, p.OFPort)
	case PortPatch:
		s.patches.remove(p.Network, p.OFPort)
	case PortTunnel:
		s.tunnelPorts.remove(p.Tunnel, p.OFPort)
	case PortUplink:
		delete(s.uplinks, p.OFPort)
	case PortForeign, PortForeignTunnel, PortRelieved:
	}
}

// tunnelPort returns the port of a tunnel; the lowest if there are several.
func (s *state) tunnelPort(t Tunnel) (ofport uint32, ok bool) { return s.tunnelPorts.least(t) }

// patchPort returns the patch port of a private network.
func (s *state) patchPort(network uint32) (ofport uint32, ok bool) { return s.patches.least(network) }
