// Command accessdocs writes the table of permissions into docs/access.md.
//
//	go generate ./northbound
//
// go generate runs it in the folder of the package; its test fails when the file
// is not what it would write.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"poolwire/northbound"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "accessdocs:", err)
		os.Exit(1)
	}
}

// run brings the page of the package in a folder up to date.
func run(folder string) error {
	old, err := os.ReadFile(pagePath(folder))
	if err != nil {
		return err
	}
	page, err := render(old)
	if err != nil {
		return err
	}
	return os.WriteFile(pagePath(folder), page, 0o644)
}

// pagePath is where the page of the package in a folder is.
func pagePath(folder string) string { return filepath.Join(folder, "..", "docs", "access.md") }

// The table is between these lines.
const (
	begin = "<!-- permissions: written by go generate -->\n"
	end   = "<!-- end of permissions -->\n"
)

// render returns a page with the table of this version in it.
func render(page []byte) ([]byte, error) {
	head, rest, ok := bytes.Cut(page, []byte(begin))
	_, tail, too := bytes.Cut(rest, []byte(end))
	if !ok || !too {
		return nil, errors.New("the page has no place for the table")
	}
	var out bytes.Buffer
	out.Write(head)
	out.WriteString(begin + "| method | role | on |\n| --- | --- | --- |\n")
	for _, p := range northbound.Permissions() {
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", p.Method, p.Role, p.Reach)
	}
	out.WriteString(end)
	out.Write(tail)
	return out.Bytes(), nil
}
