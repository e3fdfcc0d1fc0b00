// Command gendocs writes docs/pipeline.md from the declarations of package
// flowcompiler and the flows of its example bridges.
//
//	go generate ./flowcompiler
//
// go generate runs it in the folder of the package; its test fails when the file
// is not what it would write.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

// run writes the page of the package in a folder.
func run(folder string) error {
	page, err := render(folder)
	if err != nil {
		return err
	}
	return os.WriteFile(pagePath(folder), page, 0o644)
}

// pagePath is where the page of the package in a folder is.
func pagePath(folder string) string { return filepath.Join(folder, "..", "docs", "pipeline.md") }
