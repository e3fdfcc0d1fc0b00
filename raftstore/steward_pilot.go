package raftstore

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"
)

// delegate is the steward as the library wants to see it (autopilot.ApplicationIntegration).
type delegate steward

// AutopilotConfig returns the rules (autopilot.ApplicationIntegration).
func (d *delegate) AutopilotConfig() *autopilot.Config {
	s := d.store.View().Settings()
	return &autopilot.Config{
		CleanupDeadServers:      s.GetDeadNodeAfter().AsDuration() > 0,
		MinQuorum:               uint(s.GetMinVoters()),
		LastContactThreshold:    2 * d.store.cfg.Raft.HeartbeatTimeout,
		MaxTrailingLogs:         maxTrailing,
		ServerStabilizationTime: d.store.cfg.Raft.Stabilization,
	}
}

// NotifyState is told of every look (autopilot.ApplicationIntegration).
func (d *delegate) NotifyState(*autopilot.State) {}

// KnownServers returns the members and whether each answers (autopilot.ApplicationIntegration).
func (d *delegate) KnownServers() map[raft.ServerID]*autopilot.Server {
	out := map[raft.ServerID]*autopilot.Server{}
	for _, server := range d.store.servers() {
		self := string(server.ID) == d.store.cfg.NodeID
		status := autopilot.NodeFailed
		if self || (*steward)(d).answerOf(string(server.ID)).alive() {
			status = autopilot.NodeAlive
		}
		out[server.ID] = &autopilot.Server{
			ID: server.ID, Name: string(server.ID), Address: server.Address, NodeStatus: status,
			IsLeader: self, RaftVersion: int(raft.ProtocolVersionMax), NodeType: autopilot.NodeVoter,
		}
	}
	return out
}

// FetchServerStats returns how far nodes are (autopilot.ApplicationIntegration).
func (d *delegate) FetchServerStats(_ context.Context, servers map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	out := map[raft.ServerID]*autopilot.ServerStats{}
	for id := range servers {
		status := d.store.SelfStatus()
		if string(id) != d.store.cfg.NodeID {
			status = (*steward)(d).answerOf(string(id)).status
		}
		if status != nil {
			out[id] = &autopilot.ServerStats{LastContact: status.GetLastContact().AsDuration(), LastTerm: status.GetLastTerm(), LastIndex: status.GetLastIndex()}
		}
	}
	return out
}

// RemoveFailedServer removes a voter that is dead (autopilot.ApplicationIntegration).
func (d *delegate) RemoveFailedServer(server *autopilot.Server) {
	d.store.log.Warn("removing a node that has been dead for too long", "node", server.ID)
	d.store.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(d.store.ctx, enqueueTimeout)
		defer cancel()
		if err := d.store.RemoveNode(ctx, string(server.ID)); err != nil {
			d.store.log.Warn("dead node not removed", "node", server.ID, "error", err)
		}
	})
}

// promoter makes every healthy learner a voter that is not to stay one, and has dead nodes
// removed only after the time that the settings give them.
type promoter struct {
	*autopilot.StablePromoter
	w *steward
}

// CalculatePromotionsAndDemotions returns the learners to promote (autopilot.Promoter).
func (p promoter) CalculatePromotionsAndDemotions(c *autopilot.Config, s *autopilot.State) autopilot.RaftChanges {
	changes := p.StablePromoter.CalculatePromotionsAndDemotions(c, s)
	view := p.w.store.View()
	promoted := changes.Promotions[:0]
	for _, id := range changes.Promotions {
		if !view.Node(string(id)).GetStaysLearner() {
			promoted = append(promoted, id)
		}
	}
	changes.Promotions = promoted
	return changes
}

// FilterFailedServerRemovals returns the dead (autopilot.Promoter). Every member is known, so
// none is stale.
func (p promoter) FilterFailedServerRemovals(_ *autopilot.Config, _ *autopilot.State, failed *autopilot.FailedServers) *autopilot.FailedServers {
	after := p.w.store.View().Settings().GetDeadNodeAfter().AsDuration()
	dead := func(servers []*autopilot.Server) (out []*autopilot.Server) {
		for _, s := range servers {
			if a := p.w.answerOf(string(s.ID)); after > 0 && a.err != nil && time.Since(a.at) > after {
				out = append(out, s)
			}
		}
		return out
	}
	return &autopilot.FailedServers{FailedVoters: dead(failed.FailedVoters), FailedNonVoters: dead(failed.FailedNonVoters)}
}
