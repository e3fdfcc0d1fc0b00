package chaos

import (
	"testing"
	"time"
)

// at builds a call that lasts from one second to another.
func at(from, to int, op operation) operation {
	op.key, op.call, op.end = "k", time.Duration(from)*time.Second, time.Duration(to)*time.Second
	return op
}

func wrote(value string) operation { return operation{action: actWrite, value: value} }
func reads(value string) operation { return operation{action: actRead, value: value} }

// The check takes what may happen and finds what may not.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	lostWrite := operation{action: actWrite, value: "b", outcome: unknown}
	swap := func(expected string, out outcome) operation {
		return operation{action: actSwap, expected: expected, value: "b", outcome: out}
	}
	byThree := seen{"k": {"b": 3 * time.Second}}
	for name, c := range map[string]struct {
		ops   []operation
		shown seen
		good  bool
	}{
		"in order":                              {[]operation{at(0, 1, wrote("a")), at(2, 3, reads("a"))}, nil, true},
		"stale":                                 {[]operation{at(0, 1, wrote("a")), at(2, 3, wrote("b")), at(4, 5, reads("a"))}, nil, false},
		"either way while a write is under way": {[]operation{at(0, 1, wrote("a")), at(2, 9, wrote("b")), at(3, 4, reads("a")), at(5, 6, reads("b"))}, nil, true},
		"back again":                            {[]operation{at(0, 1, wrote("a")), at(2, 9, wrote("b")), at(3, 4, reads("b")), at(5, 6, reads("a"))}, nil, false},
		"lost":                                  {[]operation{at(0, 1, wrote("a")), at(2, 3, reads(""))}, nil, false},
		"unknown, and never done":               {[]operation{at(0, 1, wrote("a")), at(2, 3, lostWrite), at(4, 5, reads("a"))}, nil, true},
		"unknown, and done late":                {[]operation{at(0, 1, wrote("a")), at(2, 3, lostWrite), at(4, 5, reads("a")), at(6, 7, reads("b"))}, nil, true},
		"unknown, and done before it was asked for":   {[]operation{at(0, 1, wrote("a")), at(2, 3, reads("b")), at(4, 5, lostWrite)}, nil, false},
		"unknown, but a watch showed it early":        {[]operation{at(0, 1, wrote("a")), at(2, 3, lostWrite), at(4, 5, reads("a"))}, byThree, false},
		"swapped":                                     {[]operation{at(0, 1, wrote("a")), at(2, 3, swap("a", told)), at(4, 5, reads("b"))}, nil, true},
		"swapped what was not there":                  {[]operation{at(0, 1, wrote("a")), at(2, 3, swap("", told))}, nil, false},
		"refused although it was there":               {[]operation{at(0, 1, wrote("a")), at(2, 3, swap("a", refused))}, nil, false},
		"refused, and done all the same":              {[]operation{at(0, 1, wrote("a")), at(2, 3, swap("a", refused)), at(4, 5, reads("b"))}, nil, false},
		"swap of unknown end that did not find its a": {[]operation{at(0, 1, wrote("c")), at(2, 3, swap("a", unknown)), at(4, 5, reads("c"))}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h history
			for i, op := range c.ops {
				op.worker = i
				h.add(op)
			}
			if bad := h.linearizable(c.shown); (len(bad) == 0) != c.good {
				t.Errorf("found %v", bad)
			}
		})
	}
}

// What was acknowledged and is not as it was said is named; what is not known may be either way.
func TestLedger(t *testing.T) {
	t.Parallel()
	var l ledger
	for name, f := range map[string]fate{"kept": present, "lost": present, "gone": absent, "risen": absent, "either": maybe} {
		l.set(name, f)
	}
	kept, lost, risen := l.compare(map[string]bool{"kept": true, "risen": true, "stranger": true})
	if kept != 1 || len(lost) != 1 || lost[0] != "lost" || len(risen) != 1 || risen[0] != "risen" {
		t.Errorf("kept %d, lost %v, risen %v", kept, lost, risen)
	}
}
