package controller

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"poolwire/controller/listener"
	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

const (
	// reportsPerSecond bounds what a bridge may have the controller read. The meters of its VIFs keep each of them to
	// less, but a hostile bridge need not.
	reportsPerSecond = 1000
	// asksPerSecond bounds how often VIFs are asked whether anybody still listens to a group that one has left.
	asksPerSecond = 100
	// queryPorts is how many ports one query is sent to at once.
	queryPorts = 512
)

// inquiry is what a session does for those who listen to multicast.
type inquiry struct {
	reports, asks *rate.Limiter
	// asked are the ports that have been asked who listens.
	asked map[uint32]struct{}
	*answerer
}

func newInquiry() inquiry {
	return inquiry{reports: perSecond(reportsPerSecond), asks: perSecond(asksPerSecond), answerer: newAnswerer()}
}

// isReport tells whether the switch hands over what a VIF says of who listens.
func isReport(in openflow.PacketIn) bool {
	return in.Table == uint8(flowcompiler.TableReports) && flowcompiler.Own(in.Cookie)
}

// onReport takes in what a VIF says. The number of the VIF is the word of the host: it counts if the VIF is plugged in
// there, by the port that the packet came by.
func (s *session) onReport(in openflow.PacketIn) {
	now := s.lead.cfg.Clock.Now()
	if !s.queries.reports.AllowN(now, 1) {
		return
	}
	r, ok := listener.Parse(in.Data)
	if !ok {
		return
	}
	view := s.lead.store.View()
	host := view.Host(s.host.uuid)
	_, object := view.Object(field(in.Registers, flowcompiler.FieldSourceVIF))
	vif, isVIF := object.(*poolwirev1.Vif)
	if host == nil || !isVIF {
		return
	}
	ports, n, ok := newModel(view, host, s.name, s.ports, false).plugs(vif.GetUuid())
	if !ok || !n.Private || !n.Snooping || !slices.Contains(ports, in.InPort) {
		return
	}
	for _, group := range s.lead.listeners.hear(audienceMember{n.uuids[0], vif.GetUuid()}, r, now) {
		if s.queries.asks.AllowN(now, 1) {
			s.query(group, ports)
		}
	}
}

// askListeners asks the VIFs of private networks who listens: those that have not been asked yet, or all.
func (s *session) askListeners(m model, all bool) {
	if s.name == overlayBridge {
		return
	}
	here := map[uint32]struct{}{}
	var ports []uint32
	for uuid := range s.program.vifs {
		numbers, n, ok := m.plugs(uuid)
		if !ok || !n.Private || !n.Snooping {
			continue
		}
		for _, number := range numbers {
			here[number] = struct{}{}
			if _, asked := s.queries.asked[number]; all || !asked {
				ports = append(ports, number)
			}
		}
	}
	s.queries.asked = here
	slices.Sort(ports)
	for some := range slices.Chunk(ports, queryPorts) {
		s.query(netip.IPv4Unspecified(), some)
		s.query(netip.IPv6Unspecified(), some)
	}
}

// askAll asks all of them.
func (s *session) askAll() {
	view := s.lead.store.View()
	if host := view.Host(s.host.uuid); host != nil {
		s.askListeners(s.model(view, host), true)
	}
}

// query queues a query to ports. One that finds no room is repeated with the next round.
func (s *session) query(group netip.Addr, ports []uint32) {
	var actions []flow.Action
	for _, port := range ports {
		actions = append(actions, flow.Output(port))
	}
	select {
	case s.queries.queue <- answer{way{inPort: flow.PortController, actions: actions}, listener.Query(group)}:
	default:
	}
}

const queryInterval = listener.QueryInterval * time.Second
