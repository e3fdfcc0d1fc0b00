package controller

import (
	"context"
	"errors"
	"fmt"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
)

// listPorts asks the switch for its ports.
func (s *session) listPorts(ctx context.Context) (ports []openflow.Port, err error) {
	err = s.lead.withDeadline(ctx, func(ctx context.Context) (err error) {
		ports, err = s.sw.Ports(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ports: %w", err)
	}
	return ports, nil
}

// readPorts learns the switch's port numbers and marks what moved.
func (s *session) readPorts(ctx context.Context) error {
	ports, err := s.listPorts(ctx)
	if err != nil {
		return err
	}
	s.noteNumbers(ports)
	return nil
}

func (s *session) noteNumbers(ports []openflow.Port) {
	now := numbersOf(ports)
	moved := now.moved(s.ports)
	s.ports = now
	if len(moved) > 0 {
		rows := s.lead.store.View().PortsByBridge(s.host.uuid, s.name)
		s.marks.add(markSet{ports: withLongNames(moved, rows)})
	}
}

// portsChanged looks at the ports after the switch said that something is new
// about them. A port that was removed and added again between two looks may have
// its old number, but it has lost its configuration.
func (s *session) portsChanged(ctx context.Context) error {
	ports, err := s.listPorts(ctx)
	if err != nil {
		return err
	}
	s.noteNumbers(ports)
	s.flood.due = true
	s.marks.nudge()
	return s.configure(ctx, ports, s.program.compiler.PortConfigs())
}

// portsByUse parts ports that nothing passes from others.
func portsByUse(all map[uint32]flowcompiler.PortConfig) (shut, open map[uint32]flowcompiler.PortConfig) {
	shut, open = map[uint32]flowcompiler.PortConfig{}, map[uint32]flowcompiler.PortConfig{}
	for number, cfg := range all {
		if cfg.NoForward {
			shut[number] = cfg
		} else {
			open[number] = cfg
		}
	}
	return shut, open
}

// pushPorts gives ports their configuration.
func (s *session) pushPorts(ctx context.Context, want map[uint32]flowcompiler.PortConfig) error {
	if len(want) == 0 {
		return nil
	}
	ports, err := s.listPorts(ctx)
	if err != nil {
		return err
	}
	return s.configure(ctx, ports, want)
}

// configure sets OFPPC_NO_FWD on those of the ports that are to have it
// otherwise. A port that has gone, or was replaced since it was listed, is
// passed over: the switch tells of that, and it is looked at again.
func (s *session) configure(ctx context.Context, ports []openflow.Port, want map[uint32]flowcompiler.PortConfig) error {
	return s.lead.withDeadline(ctx, func(ctx context.Context) error {
		for _, p := range ports {
			cfg, ours := want[p.Number]
			if !ours || cfg.NoForward == (p.Config&openflow.PortNoForward != 0) {
				continue
			}
			var bits uint32
			if cfg.NoForward {
				bits = openflow.PortNoForward
			}
			err := s.sw.SetPortConfig(ctx, p, bits, openflow.PortNoForward)
			var refused *openflow.SwitchError
			switch {
			case errors.Is(err, openflow.ErrSlave):
				return fmt.Errorf("configuring port %s: %w", p.Name, err)
			case errors.As(err, &refused):
				s.log.Info("port not configured", "port", p.Name, "error", err)
			case err != nil:
				return fmt.Errorf("configuring port %s: %w", p.Name, err)
			}
		}
		return nil
	})
}
