package config

import (
	"fmt"
	"strings"
)

// Table returns the settings of a section as a table of Markdown: their names, defaults and
// meanings.
func Table(section string) string {
	defaults := Default()
	var b strings.Builder
	b.WriteString("| setting | default | meaning |\n| --- | --- | --- |\n")
	for _, s := range settings(&defaults) {
		if s.section() == section {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.name, s.value.String(), s.doc)
		}
	}
	return b.String()
}
