package northbound

import (
	"google.golang.org/grpc"

	"poolwire/policytext"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// WatchDenied streams a sample of the packets that rules denied, as it happens.
func (s *policyService) WatchDenied(req *v1.WatchDeniedRequest, out grpc.ServerStreamingServer[v1.WatchDeniedResponse]) error {
	ctx := out.Context()
	v, err := s.read(ctx)
	if err != nil {
		return err
	}
	f, err := newDeniedFilter(v, req)
	if err != nil {
		return err
	}
	samples, err := s.cfg.Live.WatchDenied(ctx)
	if err != nil {
		return s.liveError(ctx, "watching", err)
	}
	// That the stream has begun is told by its header: samples may be long in coming.
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	for m := range samples {
		if !f.passes(m) {
			continue
		}
		now := s.cfg.Store.View()
		m.RuleText = ruleText(now, m.GetRuleUuid())
		if now = seen(ctx, now); now.Restricted() && !narrowSample(now, m) {
			continue
		}
		if err := out.Send(m); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return statusOf(ctx.Err(), "")
	}
	id, address := s.cfg.Store.Leader()
	return notLeading("this node no longer leads: watch again", id, address)
}

// deniedFilter chooses samples.
type deniedFilter struct {
	vif, rule string
	// lost counts the samples that were lost before ones that were left out: the
	// next one that is sent tells of them.
	lost uint64
}

// newDeniedFilter resolves what a request names.
func newDeniedFilter(v *raftstore.View, req *v1.WatchDeniedRequest) (*deniedFilter, error) {
	f := &deniedFilter{}
	if req.GetVif() != "" {
		vif, err := findVif(v, "vif", req.GetVif())
		if err != nil {
			return nil, err
		}
		f.vif = vif.GetUuid()
	}
	if req.GetRule() != "" {
		r, err := findAnyRule(v, "rule", req.GetRule())
		if err != nil {
			return nil, err
		}
		f.rule = r.uuid
	}
	return f, nil
}

// passes tells whether a sample is to be sent.
func (f *deniedFilter) passes(m *v1.WatchDeniedResponse) bool {
	m.Lost += f.lost
	f.lost = 0
	if f.vif != "" && !concerns(m, f.vif) || f.rule != "" && m.GetRuleUuid() != f.rule {
		f.lost = m.GetLost()
		return false
	}
	return true
}

// concerns tells whether a packet was to or from a VIF, whichever end's policy denied
// it.
func concerns(m *v1.WatchDeniedResponse, vif string) bool {
	return m.GetVifUuid() == vif || m.GetSourceVifUuid() == vif || m.GetDestinationVifUuid() == vif
}

// ruleText is a rule of either form in words; empty when there is none (any more).
func ruleText(v *raftstore.View, uuid string) string {
	if r := v.PolicyRule(uuid); r != nil {
		return policytext.Rule(v, r)
	}
	if r := v.Rule(uuid); r != nil {
		return policytext.CompatRule(r)
	}
	return ""
}

// narrowSample leaves of a sample what is of a VIF that its reader may see, and tells whether there is one.
func narrowSample(v *raftstore.View, m *v1.WatchDeniedResponse) bool {
	if v.Vif(m.GetVifUuid()) == nil {
		return false
	}
	m.Lost = 0 // of others too
	if v.Vif(m.GetSourceVifUuid()) == nil {
		m.SourceVifUuid = ""
	}
	if v.Vif(m.GetDestinationVifUuid()) == nil {
		m.DestinationVifUuid = ""
	}
	if v.PolicyRule(m.GetRuleUuid()) == nil && v.Rule(m.GetRuleUuid()) == nil && m.GetRuleUuid() != "" {
		m.RuleUuid, m.RuleText = "", hiddenText
	}
	if v.Host(m.GetHostUuid()) == nil {
		m.HostUuid, m.HostNameLabel = "", ""
	}
	return true
}
