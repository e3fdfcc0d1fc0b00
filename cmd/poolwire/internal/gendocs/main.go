// Command gendocs writes the reference of the poolwire command line, one page
// a command, from the commands themselves.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/spf13/cobra/doc"

	"poolwire/cmd/poolwire/internal/cli"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: gendocs DIR")
	}
	dir := os.Args[1]
	old, err := filepath.Glob(filepath.Join(dir, "poolwire*.md"))
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			log.Fatal(err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		log.Fatal(err)
	}
	root := cli.Root()
	root.DisableAutoGenTag = true
	if err := doc.GenMarkdownTree(root, dir); err != nil {
		log.Fatal(err)
	}
}
