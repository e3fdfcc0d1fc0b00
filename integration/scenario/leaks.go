package scenario

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"poolwire/integration/leak"
)

// clientOutput is the file in the lab's directory with all that the client has printed.
const clientOutput = "client.out"

// home tells whether a file is one in which secrets have to be: private keys, the keys that seal secrets, and the
// databases of hosts, from which their IPsec daemons read what tunnels are protected with. There is no other one.
func home(path string) bool {
	name := filepath.Base(path)
	return strings.HasSuffix(name, ".key") || name == "key.pem" || name == "conf.db"
}

// showsSecret are the commands that print a secret, once, because it is what they are for.
var showsSecret = [][]string{{"token", "create"}}

// Secret has the search for leaks look for a value besides the keys that it finds by itself: see
// [System.SearchLeaks].
func (s *System) Secret(name, value string) {
	s.recording.Lock()
	defer s.recording.Unlock()
	s.secrets = append(s.secrets, namedSecret{name, value})
}

type namedSecret struct{ name, value string }

// record keeps what the client has printed.
func (s *System) record(args []string, outputs ...string) error {
	if slices.ContainsFunc(showsSecret, func(c []string) bool { return len(args) >= len(c) && slices.Equal(args[:len(c)], c) }) {
		return nil
	}
	s.recording.Lock()
	defer s.recording.Unlock()
	f, err := os.OpenFile(filepath.Join(s.Lab.Dir(), clientOutput), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "poolwire %s\n%s\n", strings.Join(args, " "), strings.Join(outputs, "\n"))
	return errors.Join(err, f.Close())
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
}

// Leaks is what a search for leaks has looked for and at.
type Leaks struct {
	// Secrets are the names of what was looked for, Looked the files that were looked at, below the lab's directory.
	Secrets, Looked []string
	// Found says which secret is in which file that is no home of secrets.
	Found []string
}

// SearchLeaks looks for every secret of the lab in every file of the lab but those that are there for secrets: the logs of
// all programs, what the client has printed, metrics, backups, and what the nodes have on their disks.
func (s *System) SearchLeaks() (Leaks, error) {
	var search leak.Search
	s.recording.Lock()
	for _, x := range s.secrets {
		search.Text(x.name, x.value)
	}
	s.recording.Unlock()
	var others []string
	err := filepath.WalkDir(s.Lab.Dir(), func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // something that ends meanwhile
			return nil
		case err != nil || !e.Type().IsRegular():
			return err
		case !home(path):
			others = append(others, path)
			return nil
		}
		return learn(&search, path)
	})
	if err != nil {
		return Leaks{}, err
	}
	out := Leaks{Secrets: search.Names()}
	for _, path := range others {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return out, err
		}
		out.Looked = append(out.Looked, path)
		// Logs are made with their full length at once, and are empty behind what is written.
		for _, name := range search.In(bytes.TrimRight(text, "\x00")) {
			out.Found = append(out.Found, fmt.Sprintf("%s is in %s", name, path))
		}
	}
	return out, nil
}

// pskOption is how a database of Open vSwitch has a key of tunnels.
var pskOption = regexp.MustCompile(`\["psk","([^"]+)"\]`)

// learn adds the secrets of a file that is there for them.
func learn(search *leak.Search, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	switch filepath.Base(path) {
	case "conf.db":
		for _, found := range pskOption.FindAllSubmatch(text, -1) {
			search.Text("a key of tunnels in "+path, string(found[1]))
		}
	case "secrets.key":
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "#")
			if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line)); err == nil && len(raw) > 0 {
				search.Bytes(path, raw)
			}
		}
	default:
		return search.PEM(path, text)
	}
	return nil
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
	if len(got.Found) > 0 {
		return fmt.Errorf("secrets have leaked:\n%s", strings.Join(got.Found, "\n"))
	}
	return nil
}
