package controller

import "testing"

func TestChooseKey(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		own     []string
		members [][]string
		sealed  map[string]int
		want    string
	}{
		"alone, one key":              {[]string{"old"}, nil, nil, "old"},
		"alone, a new one":            {[]string{"new", "old"}, nil, map[string]int{"old": 5}, "new"},
		"all have it":                 {[]string{"new", "old"}, [][]string{{"new", "old"}, {"new", "old"}}, map[string]int{"old": 5}, "new"},
		"all have it, in other order": {[]string{"new", "old"}, [][]string{{"new", "old"}, {"old", "new"}}, map[string]int{"old": 5}, "new"},
		"one lacks it":                {[]string{"new", "old"}, [][]string{{"new", "old"}, {"old"}}, map[string]int{"new": 3, "old": 5}, "old"},
		"one is silent":               {[]string{"new", "old"}, [][]string{{"new", "old"}, nil}, map[string]int{"old": 5}, "old"},
		"one is silent, half done":    {[]string{"new", "old"}, [][]string{{"new", "old"}, nil}, map[string]int{"new": 6, "old": 5}, "new"},
		"one is silent, nothing yet":  {[]string{"new", "old"}, [][]string{{"new", "old"}, nil}, nil, "old"},
		"nothing in common":           {[]string{"new"}, [][]string{{"new"}, {"old"}}, map[string]int{"old": 5}, "new"},
	} {
		if got := chooseKey(tt.own, tt.members, tt.sealed); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
