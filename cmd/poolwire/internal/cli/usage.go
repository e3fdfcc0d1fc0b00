package cli

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// markUsageErrors makes a wrong number of arguments a usage error everywhere,
// and a noun without a known verb as well.
func markUsageErrors(c *cobra.Command) {
	switch check := c.Args; {
	case c.HasSubCommands() && c.RunE == nil && c.Run == nil:
		// Without this, cobra refuses an unknown command itself, with exit code 1.
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		}
	case check != nil:
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w\nusage: %s", err, cmd.UseLine())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markUsageErrors(sub)
	}
}

// refusedValue says of a flag's value that cannot be read what is wanted, in the form of all other refusals, instead of what
// the library found.
func refusedValue(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	var wanted string
	switch kind := bad.GetFlag().Value.Type(); kind {
	case "uint32", "uint64":
		wanted = fmt.Sprintf("use a whole number from 0 to %d", map[string]uint64{"uint32": math.MaxUint32, "uint64": math.MaxUint64}[kind])
	case "duration":
		wanted = "use a duration like 90s, 30m or 2h"
	case "bool":
		wanted = "use true or false"
	default:
		wanted = errors.Unwrap(bad).Error()
	}
	return fmt.Errorf("--%s %q: %s", bad.GetFlag().Name, bad.GetValue(), wanted)
}

// helpCommand is cobra's, but an unknown topic is a usage error.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			target, rest, err := root.Find(args)
			if err != nil {
				return usageError{err}
			}
			if len(rest) > 0 {
				return unknownCommand(target, rest[0])
			}
			return target.Help()
		},
	}
}

func unknownCommand(cmd *cobra.Command, word string) error {
	hint := ""
	// cobra looks for similar names only as far as this says.
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return usageError{fmt.Errorf("unknown command %q for %q%s\nsee '%s --help'", word, cmd.CommandPath(), hint, cmd.CommandPath())}
}

// requireChange refuses a command that changes a resource and names no change.
// Flags that only help to find the resource are no change.
func requireChange(cmd *cobra.Command, finders ...string) error {
	var changes []string
	given := false
	finders = append(finders, "help", dryRunFlag, confirmWithinFlag)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && !slices.Contains(finders, f.Name) {
			changes = append(changes, "--"+f.Name)
			given = given || f.Changed
		}
	})
	if given {
		return nil
	}
	list := strings.Join(changes, ", ")
	if last := len(changes) - 1; last > 0 {
		list = strings.Join(changes[:last], ", ") + " or " + changes[last]
	}
	return usageError{errors.New("nothing to change: give " + list)}
}
