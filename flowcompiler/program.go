package flowcompiler

import (
	"cmp"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// partKind says what a part is compiled from. Where two parts want the same
// flow key, the lower kind wins, then the lower id.
type partKind uint8

const (
	partBase partKind = iota
	partNetwork
	partVIF
	partPort
	partRemote
	partFlood
	partFloodPage
	partPeers
	partPolicy
	partLink
	partPass
	partLocal
	partGuard
	partNeighbor
	partGroup
)

// partID names one part: the flows that are compiled together and replaced
// together. major is the object's id (for a port its number); minor tells parts
// of one object apart: the host of a remote, the tunnel of a link, the page of a flood list.
type partID struct {
	kind  partKind
	major uint32
	minor uint64
}

func comparePartIDs(a, b partID) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor))
}

// claim is a part's wish for a flow. The flow belongs to the part's slice in
// program.parts. The zero claim is nobody's.
type claim struct {
	part partID
	flow *flow.Flow
}

// slot is what is known of one flow key.
type slot struct {
	key flow.Key
	// holder has the key: of all parts that want it, the first by comparePartIDs.
	holder claim
	// waiting are the others, in the order in which they would get it.
	waiting []claim
	// touched tells whether the slot is in program.touched, and before what flow
	// was held at the last take; nil: none.
	touched bool
	before  *flow.Flow
}

// program is the set of flows of a bridge, put together from parts.
type program struct {
	// parts is what each part wants: sorted, no key twice.
	parts map[partID][]flow.Flow
	slots map[flow.Key]*slot
	// touched are the slots that changed since the last take, in the order of the
	// changes.
	touched []*slot
	// held is the number of slots that hold a flow.
	held int
}

func newProgram() *program {
	return &program{parts: make(map[partID][]flow.Flow), slots: make(map[flow.Key]*slot)}
}

// replace gives a part other flows; none removes it. It takes over the slice.
// Where flows repeat a key, the first of them counts.
func (p *program) replace(id partID, flows []flow.Flow) {
	slices.SortStableFunc(flows, flow.Compare)
	flows = slices.CompactFunc(flows, func(a, b flow.Flow) bool { return flow.Compare(a, b) == 0 })
	old := p.parts[id]
	for i, j := 0, 0; i < len(old) || j < len(flows); {
		order := -1
		if i == len(old) {
			order = 1
		} else if j < len(flows) {
			order = flow.Compare(old[i], flows[j])
		}
		if order < 0 {
			p.withdraw(id, old[i].Key())
		} else {
			p.offer(claim{id, &flows[j]})
		}
		if order <= 0 {
			i++
		}
		if order >= 0 {
			j++
		}
	}
	if len(flows) == 0 {
		delete(p.parts, id)
	} else {
		p.parts[id] = flows
	}
}

// offer enters a claim, in place of the claim of the same part if there is one.
func (p *program) offer(c claim) {
	key := c.flow.Key()
	s := p.slots[key]
	if s == nil {
		s = &slot{key: key}
		p.slots[key] = s
	}
	switch {
	case s.holder.flow == nil:
		p.hold(s, c)
	case s.holder.part == c.part:
		p.hold(s, c)
	case comparePartIDs(c.part, s.holder.part) < 0:
		s.wait(s.holder)
		p.hold(s, c)
	default:
		s.wait(c)
	}
}

// withdraw takes a part's claim to a key back.
func (p *program) withdraw(id partID, key flow.Key) {
	s := p.slots[key]
	switch {
	case s.holder.part != id:
		s.waiting = slices.DeleteFunc(s.waiting, func(c claim) bool { return c.part == id })
	case len(s.waiting) > 0:
		p.hold(s, s.waiting[0])
		s.waiting = slices.Delete(s.waiting, 0, 1)
	default:
		p.hold(s, claim{})
	}
}

// hold gives a slot to a claim; the zero claim empties it. An empty slot stays
// until take, which has to report it.
func (p *program) hold(s *slot, c claim) {
	if !s.touched && (s.holder.flow == nil || c.flow == nil || *s.holder.flow != *c.flow) {
		s.touched, s.before = true, s.holder.flow
		p.touched = append(p.touched, s)
	}
	if s.holder.flow != nil {
		p.held--
	}
	if c.flow != nil {
		p.held++
	}
	s.holder = c
}

// wait queues a claim for a key that another part holds.
func (s *slot) wait(c claim) {
	i, found := slices.BinarySearchFunc(s.waiting, c.part, func(w claim, id partID) int { return comparePartIDs(w.part, id) })
	if found {
		s.waiting[i] = c
		return
	}
	s.waiting = slices.Insert(s.waiting, i, c)
}

// take returns what changed since the last take, in the order of the changes. replaced are
// the flows whose keys others get by d.Add.
func (p *program) take() (d flow.Delta, replaced []flow.Flow) {
	for _, s := range p.touched {
		before, after := s.before, s.holder.flow
		s.touched, s.before = false, nil
		switch {
		case after == nil:
			delete(p.slots, s.key)
			if before != nil {
				d.Delete = append(d.Delete, *before)
			}
		case before == nil || before.Cookie != after.Cookie:
			d.Add = append(d.Add, *after)
			if before != nil {
				replaced = append(replaced, *before)
			}
		case *before != *after:
			d.Modify = append(d.Modify, *after)
		}
	}
	p.touched = nil
	return d, replaced
}

// sorted returns all flows in table order, highest priority first.
func (p *program) sorted() []flow.Flow {
	all := make([]flow.Flow, 0, p.held)
	for _, s := range p.slots {
		if s.holder.flow != nil {
			all = append(all, *s.holder.flow)
		}
	}
	slices.SortFunc(all, flow.Compare)
	return all
}
