package northbound

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"poolwire/raftstore"
)

var uuidPattern = regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`)

// hidden tells whether a string is the UUID of something that is there, and not for the caller.
func (d *redactor) hidden(id string) bool {
	return id != "" && !d.seenUUID(id) && isThere(d.whole, id) && (!d.failing || !d.said[id])
}

func (d *redactor) seenUUID(id string) bool { return isThere(d.seen, id) }

// isThere tells whether anything has a UUID.
func isThere(v *raftstore.View, id string) bool {
	return v.Vif(id) != nil || v.Host(id) != nil || v.Network(id) != nil || v.PolicyRule(id) != nil || v.Rule(id) != nil ||
		v.Pool(id) != nil || v.PrivateNetwork(id) != nil || v.VifGroup(id) != nil || v.AddressGroup(id) != nil
}

// prose takes UUIDs and names of what is hidden out of a text.
func (d *redactor) prose(s string) string {
	if !d.failing {
		return d.withoutHidden(s)
	}
	if d.said[s] {
		return s // the name of a resource in the details of an error
	}
	var out strings.Builder
	done := 0
	for _, at := range d.repeats(s) {
		out.WriteString(d.withoutHidden(s[done:at.from]) + s[at.from:at.to])
		done = at.to
	}
	return out.String() + d.withoutHidden(s[done:])
}

// span is a part of a text.
type span struct{ from, to int }

// repeats are the values of the request that a refusal repeats to say which is wrong: whole and quoted, after the name of the
// field, or first. Whose name else stands in quotes is not the client's.
func (d *redactor) repeats(s string) (out []span) {
	for i := 0; i < len(s); i++ {
		if s[i] != '"' || i > 0 && !strings.HasSuffix(s[:i], ": ") {
			continue
		}
		if q, err := strconv.QuotedPrefix(s[i:]); err == nil && d.quoted[q] {
			out = append(out, span{i, i + len(q)})
			i += len(q) - 1
		}
	}
	return out
}

// withoutHidden is a text with nothing in it of what is hidden, whoever said it.
func (d *redactor) withoutHidden(s string) string {
	s = uuidPattern.ReplaceAllStringFunc(s, func(id string) string {
		if d.hidden(strings.ToLower(id)) {
			return hiddenText
		}
		return id
	})
	for last := ""; ; {
		names := d.hiddenIn(s, last)
		before := s
		for _, name := range names {
			// What took a name's place is another neighbour to the rest.
			if last, s = name, withoutName(s, name); s != before {
				break
			}
		}
		if s == before {
			return s
		}
	}
}

// withoutName replaces a name where it stands as a word of its own.
func withoutName(s, name string) string {
	for from := 0; ; {
		i := strings.Index(s[from:], name)
		if i < 0 {
			return s
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[i+len(name):])
		if isWord(before) || isWord(after) {
			from = i + len(name)
			continue
		}
		s = s[:i] + hiddenText + s[i+len(name):]
		from = i + len(hiddenText)
	}
}

func isWord(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_')
}

// hiddenIn are the names of what is hidden that stand in a text as words of their own, but for those that something has
// that is not hidden; the longest first, and of those only what comes after last. They are looked up by the text's words: there may
// be very many names.
func (d *redactor) hiddenIn(s, last string) []string {
	starts, ends := wordEdges(s)
	var out []string
	take := func(name string) {
		if (last == "" || longerFirst(last, name) < 0) && d.hiddenName(name) {
			out = append(out, name)
		}
	}
	from, to := 0, 0
	offsets := make([]int, 0, len(ends))
	for _, start := range starts {
		for from < len(ends) && ends[from] <= start {
			from++
		}
		for to < len(ends) && ends[to] <= start+raftstore.MaxNameBytes {
			to++
		}
		offsets = offsets[:0]
		for _, end := range ends[from:max(from, to)] {
			offsets = append(offsets, end-start)
		}
		d.whole.NamesAt(s[start:], offsets, take)
	}
	slices.SortFunc(out, longerFirst)
	return slices.Compact(out)
}

// longerFirst is the order in which names are taken out: what is part of another one comes after it.
func longerFirst(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) }

// wordEdges are the places in a text where a word of its own may begin, and those where it may end, ascending.
func wordEdges(s string) (starts, ends []int) {
	before := false
	for i, r := range s {
		word := isWord(r)
		if !before {
			starts = append(starts, i)
		}
		if i > 0 && !word {
			ends = append(ends, i)
		}
		before = word
	}
	return starts, append(ends, len(s))
}

// hiddenName tells whether a name is told to the caller by nothing but what is hidden.
func (d *redactor) hiddenName(name string) bool {
	is, known := d.names[name]
	if !known {
		is = d.whole.HasName(name) && !d.seen.HasName(name)
		d.names[name] = is
	}
	return is
}
