package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"poolwire/integration/leak"
)

// clientOutput is the file in the lab's directory with all that the client has printed.
const clientOutput = "client.out"

// showsSecret tells whether the client prints a secret, once, because that is what it was asked for.
func showsSecret(args []string) bool {
	for i := range args[:max(len(args)-1, 0)] {
		if args[i] == "token" && args[i+1] == "create" {
			return true
		}
	}
	return false
}

// Record keeps what the client has printed, for the search for leaks: [System.Poolwire] does that by itself. Of the
// answer to `token create` the token's secret is left out, and looked for from then on.
func (s *System) Record(args []string, answer, errs string) error {
	s.recording.Lock()
	defer s.recording.Unlock()
	if showsSecret(args) {
		s.tokens = append(s.tokens, answer)
		answer = new(leak.Search).Tokens(answer)
	}
	f, err := s.openOutput()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "poolwire %s\n%s\n%s\n", strings.Join(args, " "), answer, errs)
	return errors.Join(err, f.Close())
}

// openOutput opens what the client has printed, to add to it.
func (s *System) openOutput() (*os.File, error) {
	return os.OpenFile(filepath.Join(s.Lab.Dir(), clientOutput), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// StartPoolwire starts the client for something that goes on until it is stopped, as `watch` and `denied` do. What it prints
// goes to out, which need not be safe for concurrent use, and is kept for the search for leaks. stop ends it, also after
// it has ended by itself or with ctx.
func (s *System) StartPoolwire(ctx context.Context, out io.Writer, args ...string) (stop func(), err error) {
	kept, err := s.openOutput()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "poolwire"), args...)
	cmd.Env = append(os.Environ(), "POOLWIRE_SOCKET="+s.Socket)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(kept, out), kept
	_, err = fmt.Fprintf(kept, "poolwire %s\n", strings.Join(args, " "))
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, errors.Join(err, kept.Close())
	}
	return func() {
		cancel()
		_ = cmd.Wait()
		_ = kept.Close()
	}, nil
}

// askAll has a daemon that still works tell all that it knows, so that it is searched too. What it does not
// answer, because the test has broken it, is left out.
func (s *System) askAll(ctx context.Context) {
	if s.daemon == nil || !s.daemon.Running() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, args := range [][]string{
		{"cluster", "status"}, {"cluster", "list"}, {"host", "list"}, {"pool", "list"}, {"private-network", "list"}, {"tunnel", "list"}, {"vif", "list"},
	} {
		if _, err := s.Poolwire(ctx, append(args, "-o", "json", "--timeout", "3s")...); err != nil {
			return
		}
	}
	_, _ = s.Poolwire(ctx, "backup", "save", filepath.Join(s.Lab.Dir(), "leaks.backup"), "--timeout", "5s")
	if code, body, err := s.Monitoring(ctx, "/metrics"); err == nil && code == 200 {
		_ = os.WriteFile(filepath.Join(s.Lab.Dir(), "metrics.out"), []byte(body), 0o600)
	}
	for _, what := range []string{"token", "audit"} { // which a daemon of an earlier version does not have
		_, _ = s.Poolwire(ctx, what, "list", "-o", "json", "--timeout", "3s")
	}
}

// SearchLeaks looks for every secret of the lab, those of tokens included, in every file of the lab but those that are
// there for secrets: the logs of all programs, what the client has printed, metrics, backups, and what the nodes have on their
// disks.
func (s *System) SearchLeaks() (leak.Report, error) {
	var search leak.Search
	s.recording.Lock()
	for _, answer := range s.tokens {
		search.Tokens(answer)
	}
	s.recording.Unlock()
	return search.Files(nil, s.Lab.Dir())
}

// leaks ends the daemons and says what secrets they have let out.
func (s *System) leaks() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s.askAll(ctx)
	if s.daemon != nil {
		_ = s.daemon.Stop(ctx)
	}
	for _, n := range s.others {
		_ = n.process.Stop(ctx)
	}
	got, err := s.SearchLeaks()
	if err != nil {
		return fmt.Errorf("searching for leaks: %w", err)
	}
	return got.Err()
}
