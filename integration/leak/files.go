package leak

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Report is what a search of files has looked for and at.
type Report struct {
	// Secrets are the names of what was looked for, Looked the files that were looked at.
	Secrets, Looked []string
	// Found says which secret is in which file that is no home of secrets.
	Found []string
}

// Err is nil when nothing was found.
func (r Report) Err() error {
	if len(r.Found) == 0 {
		return nil
	}
	return fmt.Errorf("secrets have leaked:\n%s", strings.Join(r.Found, "\n"))
}

// home tells whether a file is one in which secrets have to be: private keys, the keys that seal secrets, and the
// databases of hosts, from which their IPsec daemons read what tunnels are protected with. There is no other one.
func home(path string) bool {
	name := filepath.Base(path)
	return strings.HasSuffix(name, ".key") || name == "key.pem" || name == "conf.db"
}

// Files adds the secrets of all files below the roots that are there for secrets, and looks in all others for what it
// knows then. Files and directories for which skip is true are left out; nil skips none. What vanishes
// meanwhile is left out too, a root included.
func (s *Search) Files(skip func(path string) bool, roots ...string) (Report, error) {
	var others []string
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case skip != nil && skip(path):
				if e.IsDir() {
					return fs.SkipDir
				}
				return nil
			case !e.Type().IsRegular():
				return nil
			case !home(path):
				others = append(others, path)
				return nil
			}
			return s.learn(path)
		})
		if err != nil {
			return Report{}, err
		}
	}
	out := Report{Secrets: s.Names()}
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
		for _, name := range s.In(bytes.TrimRight(text, "\x00")) {
			out.Found = append(out.Found, fmt.Sprintf("%s is in %s", name, path))
		}
	}
	return out, nil
}

// pskOption is how a database of Open vSwitch has a key of tunnels.
var pskOption = regexp.MustCompile(`\["psk","([^"]+)"\]`)

// learn adds the secrets of a file that is there for them.
func (s *Search) learn(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	switch filepath.Base(path) {
	case "conf.db":
		for _, found := range pskOption.FindAllSubmatch(text, -1) {
			s.Text("a key of tunnels in "+path, string(found[1]))
		}
	case "secrets.key":
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "#")
			if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line)); err == nil && len(raw) > 0 {
				s.Bytes(path, raw)
			}
		}
	default:
		return s.PEM(path, text)
	}
	return nil
}

// tokenForm is how the client prints a token: what it is called by, and its secret.
var tokenForm = regexp.MustCompile(`(pwt_([0-9a-f]{16})_)([0-9a-f]{64})`)

// Tokens adds the secrets of all tokens in a text, and returns the text without them.
func (s *Search) Tokens(text string) string {
	for _, found := range tokenForm.FindAllStringSubmatch(text, -1) {
		if raw, err := hex.DecodeString(found[3]); err == nil {
			s.Bytes("the secret of token "+found[2], raw)
		}
	}
	return tokenForm.ReplaceAllString(text, "${1}SECRET")
}
