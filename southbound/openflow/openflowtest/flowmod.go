package openflowtest

import (
	"encoding/binary"
	"time"

	"poolwire/southbound/openflow/flow"
)

// mod is a decoded flow mod.
type mod struct {
	flow       flow.Flow
	cookieMask uint64
	cmd        flow.Command
	from       Message
}

// decodeFlowMod reads an OFPT_FLOW_MOD (OpenFlow 1.3.5 section 7.3.4.1). The match is
// taken as canonical, which is what package flow sends.
func decodeFlowMod(m Message) (mod, bool) {
	b := m.Body
	if len(b) < 48 || binary.BigEndian.Uint16(b[40:]) != 1 {
		return mod{}, false
	}
	n := int(binary.BigEndian.Uint16(b[42:]))
	padded := (n + 7) &^ 7
	if n < 4 || 40+padded > len(b) {
		return mod{}, false
	}
	return mod{
		flow: flow.Flow{
			Cookie: binary.BigEndian.Uint64(b), Table: b[16],
			IdleTimeout: binary.BigEndian.Uint16(b[18:]), HardTimeout: binary.BigEndian.Uint16(b[20:]),
			Priority: binary.BigEndian.Uint16(b[22:]), Flags: binary.BigEndian.Uint16(b[36:]),
			Match: flow.Match(b[44 : 40+n]), Instructions: flow.Instructions(b[40+padded:]),
		},
		cookieMask: binary.BigEndian.Uint64(b[8:]), cmd: flow.Command(b[17]), from: m,
	}, true
}

// flowMod executes a flow mod outside of bundles.
func (c *Session) flowMod(m Message) error {
	if c.isSlave() {
		return c.refuse(m, badRequest, badRequestSlave)
	}
	fm, ok := decodeFlowMod(m)
	if !ok {
		return c.refuse(m, badRequest, badRequestLen)
	}
	c.sw.mu.Lock()
	refusal := c.sw.verdict(fm)
	c.sw.counters.FlowMods++
	if refusal == nil {
		c.sw.execute(fm)
	}
	c.sw.mu.Unlock()
	if refusal != nil {
		return c.refuse(m, refusal.Type, refusal.Code)
	}
	return nil
}

// verdict says whether a flow mod will be executed. Requires mu.
func (s *Switch) verdict(m mod) *Refusal {
	wipe := m.cmd == flow.Delete && m.flow.Match == ""
	if m.cmd != flow.Add && m.cmd != flow.ModifyStrict && m.cmd != flow.DeleteStrict && !wipe {
		return &Refusal{Type: flowModFailed, Code: flowModBadCommand}
	}
	if s.cfg.Refuse == nil {
		return nil
	}
	return s.cfg.Refuse(m.flow, m.cmd)
}

// execute changes the flow table. Requires mu.
func (s *Switch) execute(m mod) {
	key := m.flow.Key()
	have, there := s.flows[key]
	concerned := there && (have.flow.Cookie^m.flow.Cookie)&m.cookieMask == 0
	switch m.cmd {
	case flow.Add:
		s.flows[key] = entry{flow: m.flow, since: time.Now()}
	case flow.ModifyStrict:
		if concerned {
			have.flow.Instructions = m.flow.Instructions
			s.flows[key] = have
		}
	case flow.DeleteStrict:
		if concerned {
			delete(s.flows, key)
		}
	case flow.Delete:
		for k, e := range s.flows {
			if (m.flow.Table == flow.TableAll || m.flow.Table == k.Table) && (e.flow.Cookie^m.flow.Cookie)&m.cookieMask == 0 {
				delete(s.flows, k)
			}
		}
	}
}
