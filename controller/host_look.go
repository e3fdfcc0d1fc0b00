package controller

import (
	"context"
	"fmt"
	"maps"
	"time"

	"poolwire/pki"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/ovsdb"
)

// observe records what the host reports, where it differs from what is stored.
func (s *hostSession) observe(ctx context.Context) error {
	cmd, err := s.look(ctx)
	if err != nil || cmd == nil {
		return err
	}
	if err := s.reports.Wait(ctx); err != nil {
		return err
	}
	return s.lead.withDeadline(ctx, func(ctx context.Context) error {
		_, err := s.lead.store.Apply(ctx, &storev1.Command{Body: &storev1.Command_ObserveHost{ObserveHost: cmd}})
		if err != nil {
			return fmt.Errorf("recording the topology: %w", err)
		}
		return nil
	})
}

// look tells what to record of the host; nil for nothing new. It waits for the host's turn.
func (s *hostSession) look(ctx context.Context) (*storev1.ObserveHost, error) {
	if err := s.lead.cfg.Gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.lead.cfg.Gate.Leave()
	topo := ovsdb.Discover(s.db.Snapshot())
	led := s.tunnelAddresses()
	s.lead.links.report(s.uuid, linkEnds(s.uuid, topo, time.Now()))
	if !maps.Equal(led, s.tunnelAddresses()) {
		s.mark("", markSet{base: true}) // the guards against addresses that tunnels have led to
	}
	s.noteLabels(topo)
	s.noteSnooping(topo)
	seen := observation{
		hostUUID: s.uuid, topology: topo, certificate: s.fingerprint(),
		transport: topo.EncapIP, dialled: s.lead.store.View().Host(s.uuid).GetMode() == poolwirev1.ConnectionMode_CONNECTION_MODE_PASSIVE,
	}
	if seen.transport == "" {
		seen.transport = addrOf(s.db.RemoteAddr()).String()
	}
	cmd, err := seen.difference(s.lead.store.View())
	if err != nil {
		return nil, &refusedError{err}
	}
	return cmd, nil
}

func (s *hostSession) fingerprint() string {
	certs := s.db.PeerCertificates()
	if len(certs) == 0 {
		return ""
	}
	return pki.Fingerprint(certs[0])
}
