package flow

import (
	"cmp"
	"slices"
)

// Delta is what turns the flows of a switch into the desired ones. Each flow
// is in one list, once.
type Delta struct {
	// Add is for OFPFC_ADD: entries that are missing, and entries whose cookie,
	// timeouts or flags differ. ADD replaces an entry of the same key in one
	// step, and its counters start again.
	Add []Flow
	// Modify is for OFPFC_MODIFY_STRICT: only the instructions differ. Counters go on.
	Modify []Flow
	// Delete is for OFPFC_DELETE_STRICT. These are the flows as installed, with
	// the cookie that a deletion must find there.
	Delete []Flow
	// Forget is for OFPFC_DELETE: of the table, whatever has the cookie and the match, at any
	// priority. It is for flows that the switch has learned by itself, which nobody can list.
	Forget []Flow
}

// Empty reports whether there is nothing to do.
func (d Delta) Empty() bool { return d.Len() == 0 }

// Len returns the number of flow mods.
func (d Delta) Len() int { return len(d.Add) + len(d.Modify) + len(d.Delete) + len(d.Forget) }

// Sort orders each list by [Compare], for output that has to be the same
// every time. Switches do not need it.
func (d Delta) Sort() {
	slices.SortFunc(d.Add, Compare)
	slices.SortFunc(d.Modify, Compare)
	slices.SortFunc(d.Delete, Compare)
	slices.SortFunc(d.Forget, Compare)
}

// Compare orders flows by table, then from high priority to low, then by match.
func Compare(a, b Flow) int {
	return cmp.Or(
		cmp.Compare(a.Table, b.Table),
		cmp.Compare(b.Priority, a.Priority),
		cmp.Compare(a.Match, b.Match),
	)
}

// Diff returns what turns installed into desired, whose keys must be those of
// its flows. Installed flows for which foreign reports true are left out of
// account, as if they were not there; nil means that none are. Should a
// desired flow have the very key of a foreign one, it replaces it.
//
// Diff neither keeps nor changes its arguments. An equal pair costs no
// allocation.
func Diff(installed []Stats, desired map[Key]Flow, foreign func(Stats) bool) Delta {
	var d Delta
	present := 0
	for i := range installed {
		have := &installed[i].Flow
		if foreign != nil && foreign(installed[i]) {
			continue
		}
		want, wanted := desired[have.Key()]
		if !wanted {
			d.Delete = append(d.Delete, *have)
			continue
		}
		present++
		switch {
		case !have.sameState(&want):
			d.Add = append(d.Add, want)
		case have.Instructions != want.Instructions:
			d.Modify = append(d.Modify, want)
		}
	}
	if present < len(desired) {
		d.Add = appendMissing(d.Add, installed, desired, foreign)
	}
	return d
}

// sameState compares what only an ADD can change.
func (f *Flow) sameState(other *Flow) bool {
	return f.Cookie == other.Cookie &&
		f.IdleTimeout == other.IdleTimeout &&
		f.HardTimeout == other.HardTimeout &&
		f.Flags&reportedFlags == other.Flags&reportedFlags
}

// reportedFlags are those a switch keeps with the entry. The others only
// affect how a flow mod is carried out.
const reportedFlags = FlagSendFlowRemoved | FlagNoPacketCounts | FlagNoByteCounts

func appendMissing(add []Flow, installed []Stats, desired map[Key]Flow, foreign func(Stats) bool) []Flow {
	have := make(map[Key]struct{}, len(installed))
	for i := range installed {
		if foreign == nil || !foreign(installed[i]) {
			have[installed[i].Key()] = struct{}{}
		}
	}
	for key, want := range desired {
		if _, ok := have[key]; !ok {
			add = append(add, want)
		}
	}
	return add
}
