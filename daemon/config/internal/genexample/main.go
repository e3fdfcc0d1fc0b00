// Command genexample writes the example configuration to the file it is given.
package main

import (
	"fmt"
	"os"

	"poolwire/daemon/config"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: genexample FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(config.Example()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
