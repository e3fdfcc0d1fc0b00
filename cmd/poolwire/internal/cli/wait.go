package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Values of --wait.
const (
	waitHosts = "hosts"
	waitNone  = "none"
)

// confirm waits, if asked to, until the hosts have confirmed a revision.
func (a *app) confirm(ctx context.Context, c *client, revision uint64) error {
	if a.flags.wait == waitNone || revision == 0 {
		return nil
	}
	return a.waitFor(ctx, c, revision)
}

func (a *app) waitFor(ctx context.Context, c *client, revision uint64) error {
	answer, err := a.awaitHosts(ctx, c, revision)
	if err != nil {
		return err
	}
	return judge(answer.GetRealization())
}

// awaitHosts shows progress while the server waits for the hosts. Revision 0 is
// the latest.
func (a *app) awaitHosts(ctx context.Context, c *client, revision uint64) (*poolwirev1.WaitForHostsResponse, error) {
	left := a.flags.timeout
	if d, ok := ctx.Deadline(); ok {
		// The server's wait ends a little earlier than ours, so that its answer, with the names of the hosts, still arrives.
		left = max(time.Until(d)-200*time.Millisecond, time.Millisecond)
	}
	what := "the latest revision"
	if revision > 0 {
		what = fmt.Sprintf("revision %d", revision)
	}
	done := a.progress("waiting for the hosts to confirm " + what)
	defer done()
	return c.cluster.WaitForHosts(ctx, &poolwirev1.WaitForHostsRequest{Revision: revision, Timeout: durationpb.New(left)})
}

// judge turns a realization into the command's outcome.
func judge(r *poolwirev1.Realization) error {
	if r.GetState() == poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED {
		return nil
	}
	var parts []string
	for _, h := range r.GetHosts() {
		if h.GetState() == poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED {
			continue
		}
		line := fmt.Sprintf("  %s: %s", h.GetHostNameLabel(), enumWord(h.GetState().String(), "REALIZATION_STATE_"))
		if h.GetError() != "" {
			line += ": " + h.GetError()
		}
		parts = append(parts, line)
	}
	if len(parts) == 0 { // who has been granted a network alone is told of no host
		return &unconfirmedError{"accepted and stored, but not confirmed by every host; which ones is hidden from you: ask who has the pool"}
	}
	return &unconfirmedError{"accepted and stored, but not confirmed by every host:\n" + strings.Join(parts, "\n")}
}

// progress shows a line on a terminal while something is waited for, and
// returns what takes it away.
func (a *app) progress(text string) func() {
	f := a.streams.Err
	if !a.terminal(f) {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		begin := time.Now()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				fmt.Fprint(f, clearLine)
				return
			case <-tick.C:
				fmt.Fprintf(f, "%s%s … %.1f s", clearLine, text, time.Since(begin).Seconds())
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// clearLine goes to the beginning of a terminal's line and erases it (ECMA-48 EL).
const clearLine = "\r\033[K"

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (a *app) waitCommand() *cobra.Command {
	return &cobra.Command{
		Use: "wait [REVISION]", Short: "Wait until the hosts have confirmed everything up to a revision",
		Long:    "Wait until every connected host has confirmed everything up to a revision (default: the latest).\nHosts that are away are named and not waited for; exit code 6 says that not all confirmed.\nWith -o json or yaml: the revision and the state of every host.",
		Example: "  poolwire wait\n  poolwire wait 4711 --timeout 2m",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			revision := uint64(0)
			if len(args) == 1 {
				n, err := strconv.ParseUint(args[0], 10, 64)
				if err != nil {
					return usageError{fmt.Errorf("REVISION %q: use a whole number, 0 or more", args[0])}
				}
				revision = n
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client) error {
				answer, err := a.awaitHosts(ctx, c, revision)
				if err != nil {
					return err
				}
				return a.printWait(answer)
			})
		},
	}
}

// printWait writes how a wait ended.
func (a *app) printWait(answer *poolwirev1.WaitForHostsResponse) error {
	failed := judge(answer.GetRealization())
	if a.structured() {
		if err := a.printMessage(answer); err != nil {
			return err
		}
		return failed
	}
	if failed == nil {
		hosts := "1 host"
		if n := len(answer.GetRealization().GetHosts()); n != 1 {
			hosts = fmt.Sprintf("%d hosts", n)
		}
		a.say("revision %d is confirmed by %s", answer.GetRevision(), hosts)
	}
	return failed
}
