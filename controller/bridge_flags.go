package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/portflags"
)

// warmInterval is how often NORMAL is reminded of where guarded VIFs are: well before
// it forgets an address (mac-aging-time, 300 s).
const warmInterval = 2 * time.Minute

// flood is what a session knows of the ports that NORMAL must not flood to. No
// version of OpenFlow after 1.0 has that flag, so that a second session sets it.
//
//	rules of the VIF in place ──► flag set ──► seen to be set ──► flows that give the VIF copies
//	copies no longer wanted   ──► flag cleared
type flood struct {
	// closed are the ports whose flag has been seen to be set, by OpenFlow number.
	closed map[uint32]bool
	// due: the flags must be looked at. cold: NORMAL has not been told of a new port yet.
	due, cold bool
}

// setFlags brings the flags of the bridge's VIFs in line with what the compiler wants.
// The ports that turn out to be otherwise than they were known to be are marked, as
// their VIFs' flows depend on it. Trouble on the other session is no trouble of this
// one: it is tried again when there is a new one, or at the next occasion.
func (s *session) setFlags(ctx context.Context, revision uint64) error {
	if !s.flood.due {
		return nil
	}
	wanted := map[uint32]bool{}
	for number, c := range s.program.compiler.PortConfigs() {
		wanted[number] = c.NoFlood
	}
	flags, ok := s.lead.board.flags.newest(s.datapathID, s.host.verify)
	if ok {
		err := s.applyFlags(ctx, flags, wanted, revision)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.log.Warn("port flags not set", "error", err)
		}
		s.flood.due = err != nil
	}
	s.reportFlags(wanted)
	if !s.flood.cold {
		return nil
	}
	s.flood.cold = false
	return s.warm(ctx)
}

// applyFlags reads the flags, sets and clears what differs, and notes what they are then.
func (s *session) applyFlags(ctx context.Context, flags *portflags.Session, wanted map[uint32]bool, revision uint64) error {
	return s.lead.withDeadline(ctx, func(ctx context.Context) error {
		ports, err := flags.Ports(ctx)
		if err != nil {
			return fmt.Errorf("reading port flags: %w", err)
		}
		if slices.ContainsFunc(ports, s.strange) {
			return errOtherBridge
		}
		var errs []error
		now := map[uint32]bool{}
		for _, p := range ports {
			number := uint32(p.Number)
			want, ours := wanted[number]
			if !ours || s.ports.names[number] != p.Name {
				continue // not a VIF's, or a port that is another by now
			}
			if p.NoFlood != want {
				if err := flags.SetNoFlood(ctx, p, want); err != nil {
					errs = append(errs, fmt.Errorf("port %s: %w", p.Name, err))
					want = p.NoFlood
				}
			}
			if want {
				now[number] = true
			}
		}
		s.noteFlags(now, revision)
		return errors.Join(errs...)
	})
}

// strange reports the local port of another bridge with the same datapath id.
func (s *session) strange(p portflags.Port) bool {
	return p.Number == ovsdbLocal && p.Name != s.name[:min(len(s.name), maxPortName)]
}

// noteFlags marks the ports whose flag is another than it was known to be.
func (s *session) noteFlags(now map[uint32]bool, revision uint64) {
	names := setOf()
	for number := range now {
		if !s.flood.closed[number] {
			names[s.ports.names[number]] = struct{}{}
			s.flood.cold = true
		}
	}
	for number := range s.flood.closed {
		if !now[number] {
			names[s.ports.names[number]] = struct{}{}
		}
	}
	s.flood.closed = now
	if len(names) > 0 {
		s.marks.add(markSet{revision: revision, ports: withLongNames(names, s.lead.store.View().PortsByBridge(s.host.uuid, s.name))})
	}
}

// reportFlags publishes which VIFs should not be flooded to, and which still are.
func (s *session) reportFlags(wanted map[uint32]bool) {
	var all, open []string
	for _, number := range slices.Sorted(maps.Keys(wanted)) {
		if !wanted[number] {
			continue
		}
		all = append(all, s.ports.names[number])
		if !s.flood.closed[number] {
			open = append(open, s.ports.names[number])
		}
	}
	if st := s.state.Load(); !slices.Equal(all, st.copied) || !slices.Equal(open, st.flagless) {
		s.update(func(st *bridgeState) { st.copied, st.flagless = all, open })
	}
}

// clearFlags leaves no flag of ours behind. A flag that cannot be cleared keeps
// broadcasts from a VIF, so it is an error.
func (s *session) clearFlags(ctx context.Context) error {
	if len(s.flood.closed) == 0 {
		return nil
	}
	flags, ok := s.lead.board.flags.newest(s.datapathID, s.host.verify)
	if !ok {
		return errors.New("port flags cannot be cleared: the switch has no session for them")
	}
	wanted := map[uint32]bool{}
	for number := range s.flood.closed {
		wanted[number] = false
	}
	return s.applyFlags(ctx, flags, wanted, 0)
}

// warm tells NORMAL where the guarded VIFs of external networks are. It does not flood
// to them, so that it must not forget them: a VIF may be silent for longer than
// addresses are remembered. The frame goes from the VIF's port to its own address,
// which NORMAL learns and then drops.
func (s *session) warm(ctx context.Context) error {
	view := s.lead.store.View()
	host := view.Host(s.host.uuid)
	if host == nil || len(s.flood.closed) == 0 {
		return nil
	}
	m := newModel(view, host, s.name, s.ports, false)
	return s.lead.withDeadline(ctx, func(ctx context.Context) error {
		for _, p := range view.PortsByBridge(s.host.uuid, s.name) {
			number := m.ports.of(p)
			mac, err := flow.ParseMAC(p.GetAttachedMac())
			if err != nil || !s.flood.closed[number] || !warmable(view, m, p) {
				continue
			}
			if err := s.sw.PacketOut(ctx, number, []flow.Action{flow.Normal()}, selfAddressed(mac)); err != nil && !refusedBySwitch(err) {
				return err
			}
		}
		return nil
	})
}

// warmable reports a VIF of an external network that is plugged nowhere else: of one
// that migrates nobody but its own traffic can tell where it is.
func warmable(view *raftstore.View, m model, p *storev1.Port) bool {
	n := m.networkOn(p.GetNetworkBridge())
	return p.GetVifUuid() != "" && n.ID != 0 && !n.Private && len(vifHosts(view, p.GetVifUuid())) == 1
}

// selfAddressed is a frame from an address to itself, of an EtherType for local
// experiments (IEEE 802).
func selfAddressed(mac flow.MAC) []byte {
	const experimental = "\x88\xb5"
	const shortest = 60
	b := append(append(append(make([]byte, 0, shortest), mac[:]...), mac[:]...), experimental...)
	return b[:shortest]
}
