package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// column is one column of a table, and one field of a resource shown alone.
type column[T any] struct {
	title string
	value func(T) string
	// wide columns are shown by -o wide only.
	wide bool
	// clip cuts the value to so many characters in a plain table; 0 does not.
	clip int
}

// printers are the output formats.
var printers = map[string]bool{"table": true, "wide": true, "json": true, "yaml": true}

// printList writes a list of resources in the chosen format.
func printList[T proto.Message](a *app, items []T, columns []column[T]) error {
	if a.structured() {
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
	if a.structured() {
		return a.printMessage(item)
	}
	w := tabwriter.NewWriter(a.streams.Out, 0, 0, 2, ' ', 0)
	for _, c := range columns {
		if v := clean(c.value(item)); v != "" {
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
		row(func(c column[T]) string {
			v := clean(c.value(it))
			if c.clip > 0 && !wide {
				v = clipped(v, c.clip)
			}
			return dash(v)
		})
	}
	return w.Flush()
}

// clean takes control characters out of a text: much of what is shown was
// written by hosts, and must move neither the cursor nor a column.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// clipped cuts a text to at most n characters, the last of which says so.
func clipped(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return strings.TrimRight(string(r[:n-1]), " ") + "…"
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

// printMessage writes a message whole, for a program.
func (a *app) printMessage(m proto.Message) error {
	b, err := toJSON(m)
	if err != nil {
		return err
	}
	return a.printJSON(json.RawMessage(b))
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
		fmt.Fprintln(a.streams.Out, clean(fmt.Sprintf(format, args...)))
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// number shows a count that is not known as nothing.
func number(n uint32) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// durationText writes a duration without parts that are zero: 1m, not 1m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
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

// parseEnum is the inverse of enumWord. what names the flag or argument in the
// error.
func parseEnum(values map[string]int32, prefix, what, word string) (int32, error) {
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
	return 0, usageError{fmt.Errorf("%s %q: use one of %s", what, word, strings.Join(known, ", "))}
}
