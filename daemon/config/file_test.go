package config

import "testing"

// FuzzFile looks for files that crash or hang the parser, or that are taken and
// then fail the checks of a single setting.
func FuzzFile(f *testing.F) {
	f.Add(Example())
	f.Add("join: [a:1]\nlog: {level: debug}\n")
	f.Add("a: &a [*a]\n")
	f.Add("? {a: b}\n: c\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := Default()
		if parseFile(&c, "f", []byte(text)) != nil {
			return
		}
		for _, s := range settings(&c) {
			if err := s.value.Set(s.value.String()); err != nil {
				t.Errorf("%s: taken, but %q: %v", s.name, s.value.String(), err)
			}
		}
	})
}
