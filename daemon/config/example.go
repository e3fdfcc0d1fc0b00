package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:generate go run ./internal/genexample ../../deploy/poolwired.yaml ../../docs/limits.md

const exampleHead = `# Configuration of poolwired. Every setting is shown with its default: take the
# '#' away to change one. A setting can also be given in the environment
# (POOLWIRE_LISTEN_API) or as a flag (--listen-api); a flag wins over the
# environment, the environment over this file. Unknown keys are refused.
`

// Example returns a configuration file that documents every setting and changes
// none: the defaults stand in it, commented out.
func Example() string {
	var b strings.Builder
	b.WriteString(exampleHead)
	defaults := Default()
	section := ""
	for _, s := range settings(&defaults) {
		indent := ""
		if in := s.section(); in != "" {
			indent = "  "
			if in != section {
				b.WriteString("\n")
				writeComment(&b, "", sections[in])
				b.WriteString(in + ":\n")
			}
			section = in
		}
		if indent == "" {
			b.WriteString("\n")
		}
		writeComment(&b, indent, s.doc)
		key := strings.TrimPrefix(s.name, section+".")
		fmt.Fprintf(&b, "%s#%s: %s\n", indent, key, exampleValue(s.value))
	}
	return b.String()
}

// exampleValue writes a value as YAML that reads back as the same text.
func exampleValue(v value) string {
	switch v.kind {
	case kindList:
		return "[" + strings.ReplaceAll(v.String(), ",", ", ") + "]"
	case kindBool, kindInt:
		return v.String()
	}
	out, err := yaml.Marshal(v.String())
	if err != nil {
		return fmt.Sprintf("%q", v.String())
	}
	return strings.TrimSpace(string(out))
}

// writeComment breaks a text into comment lines of at most 80 columns.
func writeComment(b *strings.Builder, indent, text string) {
	const width = 80
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}
