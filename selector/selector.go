// Package selector matches labels: sets of keys with values.
//
// A selector is terms joined by commas that must all hold: "app=web" (the label
// app is web), "tier!=db" (the label tier is not db, or not set), "app" (is set)
// and "!app" (is not set).
package selector

import (
	"fmt"
	"strings"
)

// Bounds of labels and selectors.
const (
	// MaxTerms is how many terms a selector may have.
	MaxTerms = 64
	// MaxKey is the longest key, in bytes.
	MaxKey = 63
	// MaxValue is the longest value, in bytes.
	MaxValue = 63
	// MaxText is the longest selector, in bytes.
	MaxText = 16 * 1024
)

// CheckLabel returns an error that says what is wrong with a label, or nil.
func CheckLabel(key, value string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(value) > MaxValue || strings.ContainsFunc(value, notInValue) {
		return fmt.Errorf("value %q must have up to %d of A-Z, a-z, 0-9, '.', '_' and '-'", clipped(value), MaxValue)
	}
	return nil
}

func checkKey(key string) error {
	if key == "" || len(key) > MaxKey || strings.ContainsFunc(key, notInKey) {
		return fmt.Errorf("key %q must have 1 to %d of a-z, 0-9, '.', '_', '/' and '-'", clipped(key), MaxKey)
	}
	return nil
}

// clipped keeps what is quoted in an error short.
func clipped(text string) string {
	const enough = 2 * MaxKey
	if len(text) > enough {
		return text[:enough] + "..."
	}
	return text
}

func notInKey(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("._/-", r)
}

func notInValue(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
}

// operator is what a term asks of a key.
type operator uint8

const (
	equals operator = iota
	differs
	isSet
	isNotSet
)

type term struct {
	operator   operator
	key, value string
}

// Selector is a parsed selector; it may be used by any number of goroutines. The
// zero Selector matches nothing.
type Selector struct{ terms []term }

// Parse reads terms joined by commas: "key=value", "key!=value", "key" and "!key".
// Space around keys, values and terms does not count. An empty text, or an empty
// term in it, is refused.
func Parse(text string) (Selector, error) {
	if len(text) > MaxText {
		return Selector{}, fmt.Errorf("selector has %d bytes; at most %d are accepted", len(text), MaxText)
	}
	parts := strings.Split(text, ",")
	if len(parts) > MaxTerms {
		return Selector{}, fmt.Errorf("selector has %d terms; at most %d are accepted", len(parts), MaxTerms)
	}
	s := Selector{terms: make([]term, 0, len(parts))}
	for _, part := range parts {
		t, err := parseTerm(strings.TrimSpace(part))
		if err != nil {
			return Selector{}, err
		}
		s.terms = append(s.terms, t)
	}
	return s, nil
}

func parseTerm(text string) (term, error) {
	t := term{operator: isSet, key: text}
	if k, v, found := strings.Cut(text, "!="); found {
		t = term{differs, k, v}
	} else if k, v, found := strings.Cut(text, "="); found {
		t = term{equals, k, v}
	} else if k, found := strings.CutPrefix(text, "!"); found {
		t = term{operator: isNotSet, key: k}
	}
	t.key, t.value = strings.TrimSpace(t.key), strings.TrimSpace(t.value)
	if err := CheckLabel(t.key, t.value); err != nil {
		return t, fmt.Errorf("term %q: %w", clipped(text), err)
	}
	return t, nil
}

// Empty reports the zero Selector, which matches nothing.
func (s Selector) Empty() bool { return len(s.terms) == 0 }

// Matches reports whether all terms hold for a set of labels.
func (s Selector) Matches(labels map[string]string) bool {
	return s.MatchesFunc(func(key string) (string, bool) {
		v, set := labels[key]
		return v, set
	})
}

// MatchesFunc is Matches for labels that are looked up by a function, which returns
// the value of a key and whether it is set.
func (s Selector) MatchesFunc(label func(key string) (value string, set bool)) bool {
	for _, t := range s.terms {
		v, set := label(t.key)
		var holds bool
		switch t.operator {
		case equals:
			holds = set && v == t.value
		case differs:
			holds = !set || v != t.value
		case isSet:
			holds = set
		case isNotSet:
			holds = !set
		}
		if !holds {
			return false
		}
	}
	return len(s.terms) > 0
}

// Anchor is a label that all sets have which a selector matches.
type Anchor struct {
	Key string
	// Value is the value of the key, unless Any.
	Value string
	// Any says that the key may have any value.
	Any bool
}

// Anchor returns the narrowest label that every match has, for looking matches up
// in an index. false: there is none, because all terms say what must not be.
func (s Selector) Anchor() (Anchor, bool) {
	var found Anchor
	ok := false
	for _, t := range s.terms {
		switch t.operator {
		case equals:
			return Anchor{Key: t.key, Value: t.value}, true
		case isSet:
			if !ok {
				found, ok = Anchor{Key: t.key, Any: true}, true
			}
		}
	}
	return found, ok
}
