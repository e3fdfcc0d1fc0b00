package selector

import (
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"app": "web", "tier": "db", "empty": "", "a/b.c_d-e": "X.y_Z-0"}
	for text, want := range map[string]bool{
		"app=web":                         true,
		"app=Web":                         false,
		"app":                             true,
		"!app":                            false,
		"other":                           false,
		"!other":                          true,
		"app!=db":                         true,
		"app!=web":                        false,
		"other!=web":                      true,
		"empty":                           true,
		"empty=":                          true,
		"empty!=":                         false,
		"other=":                          false,
		"app=web,tier=db":                 true,
		"app=web,tier=web":                false,
		" app = web , ! other , tier!= x": true,
		"a/b.c_d-e=X.y_Z-0":               true,
		"app=web,app=db":                  false,
	} {
		s, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := s.Matches(labels); got != want {
			t.Errorf("%q matches: %v, want %v", text, got, want)
		}
	}
	if (Selector{}).Matches(labels) || (Selector{}).Matches(nil) {
		t.Error("the zero selector matches")
	}
	if s, err := Parse("!app"); err != nil || !s.Matches(nil) {
		t.Errorf("!app does not match no labels: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"":                                  `key ""`,
		" ":                                 `key ""`,
		",":                                 `key ""`,
		"app,":                              `key ""`,
		"=web":                              `key ""`,
		"!":                                 `key ""`,
		"!=x":                               `key ""`,
		"!!app":                             `key "!app"`,
		"!app=web":                          `key "!app"`,
		"App":                               `key "App"`,
		"app web":                           `key "app web"`,
		"app==web":                          `value "=web"`,
		"app=web!=x":                        `key "app=web"`,
		"app=a/b":                           `value "a/b"`,
		"app=\u00fc":                        "value",
		"app=\xff":                          "value",
		"app in (a)":                        `key "app in (a)"`,
		strings.Repeat("k", 64):             "1 to 63",
		"app=" + strings.Repeat("v", 64):    "up to 63",
		strings.Repeat("a,", 64) + "a":      "65 terms",
		strings.Repeat(" ", MaxText+1):      "16385 bytes",
		"app=" + strings.Repeat("v", 10000): "...",
	} {
		s, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80q: error %v, want one that says %q", text, err, says)
		} else if len(err.Error()) > 500 {
			t.Errorf("%.80q: the error has %d bytes", text, len(err.Error()))
		}
		if s.Matches(map[string]string{"app": "web"}) {
			t.Errorf("%.80q matches although it was refused", text)
		}
	}
	if _, err := Parse(strings.Repeat("a,", 63) + "a"); err != nil {
		t.Errorf("64 terms: %v", err)
	}
	if _, err := Parse(strings.Repeat("k", 63) + "=" + strings.Repeat("v", 63)); err != nil {
		t.Errorf("the longest label: %v", err)
	}
}

func TestAnchor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Anchor{
		"app=web":       {Key: "app", Value: "web"},
		"app":           {Key: "app", Any: true},
		"a,!b,c=d":      {Key: "c", Value: "d"},
		"!b,a,c":        {Key: "a", Any: true},
		"x!=y,empty=":   {Key: "empty"},
		"!a":            {},
		"a!=b,!c,d!=e ": {},
	} {
		s, err := Parse(text)
		got, ok := s.Anchor()
		if err != nil || got != want || ok != (want != Anchor{}) {
			t.Errorf("%q: anchor %+v, %v (%v); want %+v", text, got, ok, err, want)
		}
	}
}

// A match has the anchor; and labels looked up by a function match as a map does.
func TestAnchorHolds(t *testing.T) {
	t.Parallel()
	word := rapid.SampledFrom([]string{"a", "b", "c", ""})
	rapid.Check(t, func(rt *rapid.T) {
		terms := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) string {
			k, v := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "key"), word.Draw(rt, "value")
			return rapid.SampledFrom([]string{k, "!" + k, k + "=" + v, k + "!=" + v}).Draw(rt, "term")
		}), 1, 4).Draw(rt, "terms")
		s, err := Parse(strings.Join(terms, ","))
		if err != nil {
			rt.Fatal(err)
		}
		labels := rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "c"}), word).Draw(rt, "labels")
		matches := s.Matches(labels)
		// Each term by itself, and all of them together, in any order.
		all := true
		for _, text := range terms {
			one, err := Parse(text)
			if err != nil {
				rt.Fatal(err)
			}
			all = all && one.Matches(labels)
		}
		if matches != all {
			rt.Fatalf("%v on %v: %v, its terms %v", terms, labels, matches, all)
		}
		if a, ok := s.Anchor(); ok && matches {
			if v, set := labels[a.Key]; !set || (!a.Any && v != a.Value) {
				rt.Fatalf("%v matches %v without %+v", terms, labels, a)
			}
		}
		if again := s.Matches(maps.Clone(labels)); again != matches {
			rt.Fatal("not the same twice")
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "app=web,tier!=db", "!a", ",", "a=b=c", "!!", "\xff=\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil && s.Matches(map[string]string{"a": "b"}) {
			t.Error("a refused selector matches")
		}
		s.Anchor()
	})
}
