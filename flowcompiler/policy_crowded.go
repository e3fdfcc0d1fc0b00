package flowcompiler

import (
	"errors"
	"slices"
)

// Excess says of one list of policy rules that it has more different ranks than its band
// has priorities. No flow of its scope is given out, and the VIFs that it is about pass
// nothing: which of the rules to leave out is not for a compiler to choose.
type Excess struct {
	// Level is OfNetwork, OfGroup or OfVIF.
	Level Level
	// Objects are the ids of the network, of the VIF, or of the VIF groups with rules that
	// share the VIFs, in ascending order.
	Objects []uint32
	Section Section
	// Inbound: the list for what reaches the VIFs. Else that for what they send.
	Inbound bool
	// Ranks is how many different ranks the list has, Room how many there can be.
	Ranks, Room int
}

// exceeds notes that a list does not fit, and tells whether that shuts VIFs. A list for all
// VIFs of the bridge does not: the bridge had better keep what it has.
func (l *policyList) exceeds(level Level, object uint32, err error) bool {
	var tooMany *RankError
	if !errors.As(err, &tooMany) || level == Global || level == Pool {
		return false
	}
	objects := []uint32{object}
	if level == OfGroup {
		objects = slices.Clone(l.compiler.sets.groups[object])
	}
	l.excesses = append(l.excesses, Excess{
		Level: level, Objects: objects, Section: l.section, Inbound: l.way == inwards, Ranks: tooMany.Ranks, Room: tooMany.Room,
	})
	return true
}

// setCrowded notes which lists of a part do not fit, and marks the VIFs that the part is
// about when they are to be shut, or no longer.
func (c *Compiler) setCrowded(id partID, excesses []Excess) {
	before := len(c.crowded[id]) > 0
	if len(excesses) > 0 {
		c.crowded[id] = excesses
	} else {
		delete(c.crowded, id)
	}
	if before == (len(excesses) > 0) {
		return
	}
	if Level(id.minor) != OfGroup {
		c.touchScope(PolicyScope{Level(id.minor), id.major})
		return
	}
	for _, v := range c.vifs {
		if c.groupNumber(v) == id.major {
			c.touchVIF(v)
		}
	}
}

// excessesOf returns the lists that are about a VIF and do not fit.
func (c *Compiler) excessesOf(v *VIF) []Excess {
	if len(c.crowded) == 0 {
		return nil
	}
	return slices.Concat(
		c.crowded[policyPart(OfNetwork, v.Network)],
		c.crowded[policyPart(OfGroup, c.groupNumber(v))],
		c.crowded[policyPart(OfVIF, v.ID)])
}

func policyPart(level Level, object uint32) partID {
	return partID{partPolicy, object, uint64(level)}
}

// Crowded returns the VIFs that pass nothing as of the last Commit because lists of rules
// that reach them do not fit, with these lists, by the ids of the VIFs; nil when all fit.
func (c *Compiler) Crowded() map[uint32][]Excess {
	if len(c.crowded) == 0 {
		return nil
	}
	var out map[uint32][]Excess
	for id, v := range c.vifs {
		excesses := c.excessesOf(v)
		if len(excesses) == 0 {
			continue
		}
		if out == nil {
			out = make(map[uint32][]Excess)
		}
		out[id] = excesses
	}
	return out
}
