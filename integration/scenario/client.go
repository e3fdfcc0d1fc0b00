package scenario

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Poolwire runs the client as a user would and returns what it printed.
func (s *System) Poolwire(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "poolwire"), args...)
	cmd.Env = append(os.Environ(), "POOLWIRE_SOCKET="+s.Socket)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err := s.Record(args, string(out), errs.String()); err != nil {
		return string(out), err
	}
	if err != nil {
		return string(out), &ClientError{Args: args, Code: cmd.ProcessState.ExitCode(), Message: strings.TrimSpace(errs.String())}
	}
	return string(out), nil
}

// ClientError is a client that did not exit with 0.
type ClientError struct {
	Args    []string
	Code    int
	Message string
}

func (e *ClientError) Error() string {
	return fmt.Sprintf("poolwire %s: exit %d: %s", strings.Join(e.Args, " "), e.Code, e.Message)
}
