package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// column is one column of a table.
type column[T any] struct {
	title string
	value func(T) string
	// wide columns are shown by -o wide only.
	wide bool
}

// printers are the output formats.
var printers = map[string]bool{"table": true, "wide": true, "json": true, "yaml": true}

// printList writes a list of resources in the chosen format.
func printList[T proto.Message](a *app, items []T, columns []column[T]) error {
	switch a.flags.output {
	case "json", "yaml":
		raw := make([]json.RawMessage, 0, len(items))
		for _, it := range items {
			b, err := toJSON(it)
			if err != nil {
				return err
			}
			raw = append(raw, b)
		}
		return a.printJSON(raw)
	}
	return printTable(a.streams.Out, items, columns, a.flags.output == "wide")
}

// printOne writes one resource: as a list of fields for a person, whole otherwise.
func printOne[T proto.Message](a *app, item T, columns []column[T]) error {
	switch a.flags.output {
	case "json", "yaml":
		b, err := toJSON(item)
		if err != nil {
			return err
		}
		return a.printJSON(json.RawMessage(b))
	}
	w := tabwriter.NewWriter(a.streams.Out, 0, 0, 2, ' ', 0)
	for _, c := range columns {
		if v := c.value(item); v != "" {
			fmt.Fprintf(w, "%s\t%s\n", strings.ToLower(c.title), v)
		}
	}
	return w.Flush()
}

func printTable[T any](out io.Writer, items []T, columns []column[T], wide bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cell func(column[T]) string) {
		var cells []string
		for _, c := range columns {
			if wide || !c.wide {
				cells = append(cells, cell(c))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), " \t"))
	}
	row(func(c column[T]) string { return c.title })
	for _, it := range items {
		row(func(c column[T]) string { return dash(c.value(it)) })
	}
	return w.Flush()
}

// toJSON writes proto field names, as the API documents them. protojson varies
// its white space on purpose, so the result is compacted.
func toJSON(m proto.Message) ([]byte, error) {
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return b, nil
}

func (a *app) printJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	if a.flags.output == "yaml" {
		if b, err = yaml.JSONToYAML(b); err != nil {
			return fmt.Errorf("encoding the answer: %w", err)
		}
	} else {
		b = append(b, '\n')
	}
	_, err = a.streams.Out.Write(b)
	return err
}

// structured reports whether the output is for programs.
func (a *app) structured() bool { return a.flags.output == "json" || a.flags.output == "yaml" }

// say writes a line for a person; programs get the resource instead.
func (a *app) say(format string, args ...any) {
	if !a.structured() {
		fmt.Fprintf(a.streams.Out, format+"\n", args...)
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// enumWord turns HOST_STATE_NEVER_SEEN into never-seen.
func enumWord(name, prefix string) string {
	name = strings.TrimPrefix(name, prefix)
	if name == "UNSPECIFIED" {
		return ""
	}
	return strings.ToLower(strings.ReplaceAll(name, "_", "-"))
}

// parseEnum is the inverse of enumWord for flags.
func parseEnum(values map[string]int32, prefix, flag, word string) (int32, error) {
	n, ok := values[prefix+strings.ToUpper(strings.ReplaceAll(word, "-", "_"))]
	if ok && n != 0 {
		return n, nil
	}
	var known []string
	for i := int32(1); int(i) < len(values); i++ {
		for name, v := range values {
			if v == i {
				known = append(known, enumWord(name, prefix))
			}
		}
	}
	return 0, usageError{fmt.Errorf("--%s %q: use one of %s", flag, word, strings.Join(known, ", "))}
}
