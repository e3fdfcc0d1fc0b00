package agreement

import (
	"fmt"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
)

// evaluate runs the evaluator; the connection tracker says states in turn, and then
// that everything is new. As in ofproto/trace a packet keeps the tuple that it came
// with, up to the ct action that sends a copy to the tracker, and the copy keeps it.
func evaluate(tables *walk.Tables, p walk.Packet, states []uint32, blocked func(uint32) bool) walk.Trace {
	asked := 0
	return tables.Run(p, walk.Options{
		Blocked: blocked, FragmentPorts: true,
		CT: func(_ uint16, now walk.Packet) walk.Connection {
			c := now.Connection
			c.State = walk.CTTracked | walk.CTNew
			if asked < len(states) {
				c.State = states[asked]
			}
			asked++
			return c
		},
	})
}

// normal says where the switch's own forwarding sends a packet.
type normal func(p walk.Packet) []copyOut

// difference compares what the evaluator and the switch say: each lookup, what the
// registers hold at each end, and where the packet goes. It returns "" when they agree.
func difference(got walk.Trace, want traced, forwarding normal) string {
	if got.Err != nil {
		return fmt.Sprintf("the evaluator gives up: %v", got.Err)
	}
	if len(got.Steps) != len(want.steps) {
		return fmt.Sprintf("%d lookups, the switch %d", len(got.Steps), len(want.steps))
	}
	tie := false
	for i, s := range got.Steps {
		mine := step{table: s.Table, priority: -1}
		if s.Flow != nil {
			mine.priority, mine.cookie = int(s.Flow.Priority), s.Flow.Cookie
		}
		theirs := want.steps[i]
		if tied(mine, theirs) {
			tie, mine.cookie = true, theirs.cookie
		}
		if mine != theirs {
			return fmt.Sprintf("lookup %d: %v, the switch %v", i, mine, theirs)
		}
	}
	if len(got.Ends) != len(want.ends) {
		return fmt.Sprintf("%d stretches, the switch %d", len(got.Ends), len(want.ends))
	}
	for i, e := range got.Ends {
		mine, theirs := endOf(e), want.ends[i]
		if tie {
			delete(mine.registers, field(flowcompiler.FieldRule))
			delete(theirs.registers, field(flowcompiler.FieldRule))
		}
		if !mine.equal(theirs) {
			return fmt.Sprintf("end of stretch %d: %+v, the switch %+v", i, mine, theirs)
		}
	}
	mine, controller := copies(got, forwarding)
	theirs := sorted(want.outputs)
	if forwarding != nil {
		mine, theirs = ignorePriorityTags(mine), ignorePriorityTags(theirs)
	}
	if !slices.Equal(mine, theirs) || controller != want.controller {
		return fmt.Sprintf("outputs %v and %d to the controller, the switch %v and %d", mine, controller, theirs, want.controller)
	}
	return ""
}

// tied reports whether two flows of rules have one priority: the rules say the same, and
// which of the flows the switch takes is not defined.
func tied(mine, theirs step) bool {
	if mine.table != theirs.table || mine.priority != theirs.priority || mine.cookie == theirs.cookie {
		return false
	}
	for _, c := range []uint64{mine.cookie, theirs.cookie} {
		cookie, ok := flowcompiler.ParseCookie(c)
		rule := cookie.Kind == flowcompiler.KindPolicy || cookie.Kind == flowcompiler.KindVIFRule || cookie.Kind == flowcompiler.KindNetworkRule
		if !ok || !rule {
			return false
		}
	}
	return true
}

// ignorePriorityTags takes a tag with VLAN id 0 for no tag: NORMAL leaves one on, or
// takes it off, depending on the ports.
func ignorePriorityTags(list []copyOut) []copyOut {
	list = slices.Clone(list)
	for i := range list {
		list[i].tagged = list[i].vlan != 0
	}
	return sorted(list)
}

// copies lists where the packet goes, each place as often as it goes there.
func copies(t walk.Trace, forwarding normal) (out []copyOut, controller int) {
	for _, o := range t.Outputs {
		switch o.Port {
		case flow.PortController:
			controller++
		case flow.PortNormal:
			out = append(out, forwarding(o.Packet)...)
		default:
			out = append(out, copyOut{o.Port, o.Packet.VLAN & 0xfff, o.Packet.VLAN != 0})
		}
	}
	return sorted(out), controller
}

func sorted(list []copyOut) []copyOut {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b copyOut) int {
		return int(a.port)<<13 + int(a.vlan) - int(b.port)<<13 - int(b.vlan)
	})
	return list
}

func endOf(p walk.Packet) end {
	e := end{registers: map[int]uint32{}, ethernet: fmt.Sprintf("dl_src=%v,dl_dst=%v", p.EthSrc, p.EthDst)}
	if p.IsNeighbor() {
		e.discovery = fmt.Sprintf("ipv6_src=%v ipv6_dst=%v icmp_type=%d nd_target=%v nd_sll=%v nd_tll=%v", p.Src, p.Dst, p.SrcPort, p.NDTarget, p.NDSource, p.NDTargetMAC)
	}
	if p.VLAN != 0 {
		e.vlan = fmt.Sprintf("dl_vlan=%d,dl_vlan_pcp=%d", p.VLAN&0xfff, p.PCP)
	}
	for n, value := range p.Registers {
		if value != 0 {
			e.registers[n] = value
		}
	}
	return e
}

func (e end) equal(o end) bool {
	if e.vlan != o.vlan || e.ethernet != o.ethernet || e.discovery != o.discovery || len(e.registers) != len(o.registers) {
		return false
	}
	for n, value := range e.registers {
		if o.registers[n] != value {
			return false
		}
	}
	return true
}
