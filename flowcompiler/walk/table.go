package walk

import (
	"cmp"
	"encoding/binary"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// entry is one flow, ready to be run.
type entry struct {
	flow     *flow.Flow
	program  *program
	priority uint16
}

// table is one OpenFlow table: a tuple space search (Srinivasan, Suri and Varghese,
// 1999) with a hash table for each set of bits that flows match.
type table struct {
	tuples []*tuple
}

// tuple holds the flows that match the same bits.
type tuple struct {
	// mask has the slots in the order of parseMatch; values are not used.
	mask []condition
	// highest is the priority of its best flow; tuples of a table are sorted by it.
	highest uint16
	// entries are the flows by the values they match, the highest priority first.
	entries map[string][]*entry
}

// maxConditions bounds the words of one match: all the slots there are.
const maxConditions = int(slots)

// conditionKey appends the values to b, as the entries of a tuple are keyed.
func (c condition) appendKey(b []byte) []byte { return binary.NativeEndian.AppendUint64(b, c.value) }

// tableBuilder collects the flows of one table.
type tableBuilder struct {
	byMask map[string]*tuple
	order  []*tuple
}

func (b *tableBuilder) add(e *entry, match []condition) {
	var room [10 * maxConditions]byte
	shape, values := room[:0], make([]byte, 0, 8*len(match))
	for _, c := range match {
		shape = binary.NativeEndian.AppendUint64(append(shape, byte(c.slot)), c.mask)
		values = c.appendKey(values)
	}
	t := b.byMask[string(shape)]
	if t == nil {
		t = &tuple{mask: match, entries: make(map[string][]*entry)}
		b.byMask[string(shape)] = t
		b.order = append(b.order, t)
	}
	t.highest = max(t.highest, e.priority)
	t.entries[string(values)] = append(t.entries[string(values)], e)
}

func (b *tableBuilder) build() table {
	for _, t := range b.order {
		for _, list := range t.entries {
			slices.SortStableFunc(list, func(x, y *entry) int { return cmp.Compare(y.priority, x.priority) })
		}
	}
	slices.SortStableFunc(b.order, func(x, y *tuple) int { return cmp.Compare(y.highest, x.highest) })
	return table{tuples: b.order}
}

// find returns the flows of the tuple that match, the highest priority first.
func (t *tuple) find(k *key) []*entry {
	var room [8 * maxConditions]byte
	b := room[:0]
	for _, c := range t.mask {
		b = binary.NativeEndian.AppendUint64(b, k[c.slot]&c.mask)
	}
	return t.entries[string(b)]
}

// lookup returns the flow that matches, and by which clauses when it matches a
// conjunction's id.
//
// Of fragments a lookup sees no ports, and not even of the first unless firstPorts.
func (t *table) lookup(k *key, firstPorts bool) (hit *entry, clauses []*entry) {
	if k[slotFrag] != 0 && !firstPorts {
		src, dst := k[slotSrcPort], k[slotDstPort]
		k[slotSrcPort], k[slotDstPort] = 0, 0
		defer func() { k[slotSrcPort], k[slotDstPort] = src, dst }()
	}
	return t.search(k, true)
}

// search finds the best flow without conjunction actions, and whether a conjunction
// of a higher priority holds. If so the table is searched again, without
// conjunctions, with its id: what is found then is the answer, at whatever priority.
func (t *table) search(k *key, conjunctions bool) (hit *entry, clauses []*entry) {
	for _, tuple := range t.tuples {
		if hit != nil && tuple.highest <= hit.priority {
			break
		}
		for _, e := range tuple.find(k) {
			if hit != nil && e.priority <= hit.priority {
				break
			}
			if len(e.program.conjunctions) == 0 {
				hit = e
				break
			}
			if conjunctions {
				clauses = append(clauses, e)
			}
		}
	}
	if len(clauses) == 0 {
		return hit, nil
	}
	if found, by := t.conjunction(k, hit, clauses); found != nil {
		return found, by
	}
	return hit, nil
}

// conjunction tries the conjunctions that clauses belong to, the highest priority
// first, as long as they are above hit.
func (t *table) conjunction(k *key, hit *entry, clauses []*entry) (found *entry, by []*entry) {
	slices.SortStableFunc(clauses, func(x, y *entry) int { return cmp.Compare(y.priority, x.priority) })
	for len(clauses) > 0 && (hit == nil || clauses[0].priority > hit.priority) {
		n := 1
		for n < len(clauses) && clauses[n].priority == clauses[0].priority {
			n++
		}
		for _, id := range complete(clauses[:n]) {
			saved := k[slotConjunction]
			k[slotConjunction] = uint64(id)
			found, _ = t.search(k, false)
			k[slotConjunction] = saved
			if found != nil {
				return found, clausesOf(clauses[:n], id)
			}
		}
		clauses = clauses[n:]
	}
	return nil, nil
}

// complete returns the ids of the conjunctions all of whose clauses are there.
func complete(clauses []*entry) []uint32 {
	var ids []uint32
	seen := make(map[uint32]uint64, len(clauses))
	for _, e := range clauses {
		for _, c := range e.program.conjunctions {
			all := ones(uint16(c.clauses))
			before := seen[c.id]
			seen[c.id] = before | 1<<c.clause
			if before != all && seen[c.id] == all {
				ids = append(ids, c.id)
			}
		}
	}
	return ids
}

// clausesOf picks the flows that are a clause of conjunction id.
func clausesOf(clauses []*entry, id uint32) []*entry {
	return slices.DeleteFunc(slices.Clone(clauses), func(e *entry) bool {
		return !slices.ContainsFunc(e.program.conjunctions, func(c clause) bool { return c.id == id })
	})
}
