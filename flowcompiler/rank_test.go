package flowcompiler

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRank(t *testing.T) {
	t.Parallel()
	allow := func(p uint16) rankKey { return rankKey{p, true} }
	deny := func(p uint16) rankKey { return rankKey{p, false} }
	for _, tc := range []struct {
		name string
		keys []rankKey
		want map[rankKey]uint16
	}{
		{"none", nil, map[rankKey]uint16{}},
		{"as wished", []rankKey{allow(100), deny(200)}, map[rankKey]uint16{allow(100): 100, deny(200): 200}},
		{"a denial wins a tie", []rankKey{allow(100), deny(100)}, map[rankKey]uint16{deny(100): 100, allow(100): 99}},
		{"a tie pushes the next down", []rankKey{allow(100), deny(100), deny(99)},
			map[rankKey]uint16{deny(100): 100, allow(100): 99, deny(99): 98}},
		{"0 is not for rules", []rankKey{allow(0)}, map[rankKey]uint16{allow(0): 1}},
		{"no room at the bottom", []rankKey{allow(0), deny(0), allow(1), deny(1), deny(7)},
			map[rankKey]uint16{allow(0): 1, deny(0): 2, allow(1): 3, deny(1): 4, deny(7): 7}},
		{"the top", []rankKey{allow(65535), deny(65535)}, map[rankKey]uint16{deny(65535): 65535, allow(65535): 65534}},
		{"repeated keys", []rankKey{allow(5), allow(5)}, map[rankKey]uint16{allow(5): 5}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := rank(tc.keys)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(rankKey{})); diff != "" {
				t.Errorf("rank (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRankOfTooManyKeys(t *testing.T) {
	t.Parallel()
	var keys []rankKey
	for p := range 65536 {
		keys = append(keys, rankKey{uint16(p), true}, rankKey{uint16(p), false})
	}
	if _, err := rank(keys); !errors.Is(err, ErrTooManyRanks) {
		t.Errorf("131072 keys: error %v, want ErrTooManyRanks", err)
	}
	got, err := rank(keys[:65535])
	if err != nil || len(got) != 65535 {
		t.Fatalf("65535 keys: %d ranks, error %v", len(got), err)
	}
}

// drawRankKeys draws keys that crowd at the ends of the range.
func drawRankKeys(t *rapid.T) []rankKey {
	priority := rapid.OneOf(rapid.Uint16Range(0, 6), rapid.Uint16Range(65530, 65535), rapid.Uint16())
	key := rapid.Custom(func(t *rapid.T) rankKey { return rankKey{priority.Draw(t, "priority"), rapid.Bool().Draw(t, "allow")} })
	return rapid.SliceOfN(key, 0, 40).Draw(t, "keys")
}

func TestRankKeepsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keys := drawRankKeys(t)
		ranks, err := rank(keys)
		if err != nil {
			t.Fatal(err)
		}
		for a, rankA := range ranks {
			if rankA == 0 {
				t.Fatalf("%v got 0, the table's miss", a)
			}
			for b, rankB := range ranks {
				if wins := compareRankKeys(a, b) < 0; wins != (rankA > rankB) {
					t.Fatalf("%v ranks %d and %v ranks %d", a, rankA, b, rankB)
				}
			}
		}
		shuffled := rapid.Permutation(keys).Draw(t, "shuffled")
		again, _ := rank(shuffled)
		if !maps.Equal(ranks, again) {
			t.Fatalf("another order of the same keys ranks differently: %v, %v", ranks, again)
		}
	})
}

// TestRankIsClose: a key gets its own priority unless other keys leave no room.
func TestRankIsClose(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ranks, err := rank(drawRankKeys(t))
		if err != nil {
			t.Fatal(err)
		}
		taken := slices.Collect(maps.Values(ranks))
		for key, got := range ranks {
			wish := max(key.priority, 1)
			for p := min(wish, got); p < max(wish, got); p++ {
				if !slices.Contains(taken, p) && !slices.Contains(taken, p+1) {
					t.Fatalf("%v got %d although nothing is at %d and %d", key, got, p, p+1)
				}
			}
		}
	})
}
