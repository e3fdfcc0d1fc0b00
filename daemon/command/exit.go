package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes of poolwired.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// UsageError says that the command line or the configuration is wrong: the same
// start fails again until somebody changes them.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *UsageError) Unwrap() error { return e.Err }

// ExitCode maps the outcome of Root to the process's exit code: 0, 2 for a
// [UsageError], else 1.
func ExitCode(err error) int {
	var usage *UsageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFailed
}

// usage makes what a check of arguments finds a UsageError.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &UsageError{fmt.Errorf("%w\nusage: %s", err, cmd.UseLine())}
		}
		return nil
	}
}
