package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// UnknownKeyError names a key that is no setting.
type UnknownKeyError struct {
	// File and Line say where it stands.
	File string
	Line int
	// Key is the whole key, sections included; Closest the setting or section most
	// like it, empty when nothing is.
	Key, Closest string
}

func (e *UnknownKeyError) Error() string {
	s := fmt.Sprintf("%s:%d: unknown key %q", e.File, e.Line, e.Key)
	if e.Closest != "" {
		s += fmt.Sprintf(", did you mean %q?", e.Closest)
	}
	return s
}

// fileParser walks the file's nodes and sets what it finds.
type fileParser struct {
	path     string
	settings []setting
	// seen has the line of every key met so far.
	seen map[string]int
	errs []error
}

// parseFile sets what the file says. The file is one YAML mapping, or empty.
func parseFile(c *Config, path string, data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: want one YAML document", path)
	}
	p := &fileParser{path: path, settings: settings(c), seen: map[string]int{}}
	p.mapping("", doc.Content[0])
	return errors.Join(p.errs...)
}

func (p *fileParser) fail(n *yaml.Node, key, problem string) {
	p.errs = append(p.errs, &FieldError{
		Source: fmt.Sprintf("%s:%d", p.path, n.Line), Field: key, Value: nodeText(n), Accepted: problem,
	})
}

// mapping handles the file itself, with no section, or one of its sections. A
// section without anything in it says nothing.
func (p *fileParser) mapping(section string, n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.fail(n, section, "want a mapping of settings")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := strings.TrimPrefix(section+"."+k.Value, ".")
		if line, twice := p.seen[key]; twice {
			p.fail(k, key, fmt.Sprintf("is set twice, first on line %d", line))
			continue
		}
		p.seen[key] = k.Line
		p.entry(section, key, k, v)
	}
}

// entry finds the key's setting or section. A setting of a section may also stand
// at the top level under its whole name, as in "log.level: debug".
func (p *fileParser) entry(section, key string, k, v *yaml.Node) {
	for _, s := range p.settings {
		if s.name == key {
			p.setting(s, v)
			return
		}
		if section == "" && s.section() == key {
			p.mapping(key, v)
			return
		}
	}
	p.errs = append(p.errs, &UnknownKeyError{File: p.path, Line: k.Line, Key: key, Closest: p.closest(key)})
}

// setting sets one value. One that is left out (null) keeps its default: to set
// nothing on purpose, the file says "".
func (p *fileParser) setting(s setting, v *yaml.Node) {
	if isNull(v) {
		return
	}
	isList := s.value.kind == kindList
	switch {
	case isList && v.Kind == yaml.SequenceNode:
		p.set(s, v, "")
		for _, item := range v.Content {
			p.scalar(s, item)
		}
	case isList && v.Kind != yaml.ScalarNode:
		p.fail(v, s.name, "want a list")
	default:
		p.scalar(s, v)
	}
}

func (p *fileParser) scalar(s setting, v *yaml.Node) {
	if v.Kind != yaml.ScalarNode || isNull(v) {
		p.fail(v, s.name, "want a single value")
		return
	}
	p.set(s, v, v.Value)
}

func (p *fileParser) set(s setting, v *yaml.Node, text string) {
	if err := s.set(fmt.Sprintf("%s:%d", p.path, v.Line), text); err != nil {
		p.errs = append(p.errs, err)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// nodeText shows a value in a message: a scalar as it is, others by their kind.
func nodeText(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "{...}"
	case yaml.SequenceNode:
		return "[...]"
	case yaml.AliasNode:
		return "*" + n.Value
	}
	return n.Value
}

// closest returns the setting or section most like an unknown key, if any is
// within a third of its letters.
func (p *fileParser) closest(key string) string {
	best, bestDistance := "", max(2, len(key)/3)+1
	try := func(candidate string) {
		if d := editDistance(key, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	for _, s := range p.settings {
		try(s.name)
		if section := s.section(); section != "" {
			try(section)
		}
	}
	if best != "" {
		return best
	}
	// A setting's last word alone, or in the wrong section.
	word := lastWord(key)
	i := slices.IndexFunc(p.settings, func(s setting) bool { return lastWord(s.name) == word })
	if i < 0 {
		return ""
	}
	return p.settings[i].name
}

func lastWord(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// editDistance is the number of letters to insert, remove or replace (Levenshtein).
// Keys longer than any setting are cut: they are like nothing anyway.
func editDistance(a, b string) int {
	const limit = 64
	a, b = a[:min(len(a), limit)], b[:min(len(b), limit)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
