// Command genexample writes the example configuration to the first file it is given, and the table
// of the limits into the second one, between its marks.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"poolwire/daemon/config"
)

const (
	begin = "<!-- limits: begin; `make generate` writes this table -->\n"
	end   = "<!-- limits: end -->\n"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: genexample EXAMPLE PAGE")
		os.Exit(2)
	}
	if err := errors.Join(os.WriteFile(os.Args[1], []byte(config.Example()), 0o644), writeTable(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writeTable(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, opened := strings.Cut(string(page), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !opened || !closed {
		return fmt.Errorf("%s has no marks for the table", path)
	}
	return os.WriteFile(path, []byte(head+begin+config.Table("limits")+end+tail), 0o644)
}
