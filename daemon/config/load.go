package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/pflag"

	"poolwire/secrets"
)

// EnvPrefix begins the name of every environment variable.
const EnvPrefix = "POOLWIRE_"

// SecretsEnv holds the keys that seal secrets, as lines of secrets_file or separated by commas.
const SecretsEnv = EnvPrefix + "SECRETS_KEYS"

const (
	// credentialsEnv is systemd's (systemd.exec(5), LoadCredential=).
	credentialsEnv = "CREDENTIALS_DIRECTORY"

	configFlag = "config"
	configEnv  = EnvPrefix + "CONFIG"
)

// FieldError says what is wrong with one setting.
type FieldError struct {
	// Source is where the value came from: a file and line, a flag, a variable.
	Source string
	// Field is the setting's name as in the file.
	Field string
	// Value is what was given.
	Value string
	// Accepted says what is accepted, beginning with "want", or what else is wrong.
	Accepted string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: %s: %q: %s", e.Source, e.Field, e.Value, e.Accepted)
}

// RegisterFlags adds one flag per setting, and --config, to fs.
func RegisterFlags(fs *pflag.FlagSet) {
	fs.String(configFlag, "", "configuration file (environment "+configEnv+"; default "+DefaultFile+" where it exists)")
	defaults := Default()
	for _, s := range settings(&defaults) {
		f := fs.VarPF(s.value, s.flag(), "", s.summary())
		if s.value.kind == kindBool {
			f.NoOptDefVal = "true"
		}
	}
}

// Sources are what a configuration is made from, beside the defaults.
type Sources struct {
	// Flags have been registered by RegisterFlags and parsed; nil for none.
	Flags *pflag.FlagSet
	// LookupEnv reads the environment, as os.LookupEnv does; nil for none.
	LookupEnv func(string) (string, bool)
	// DefaultFile is read when it exists and neither flag nor environment names a
	// file; empty for none.
	DefaultFile string
}

// Load puts a configuration together: flags win over the environment, that over the
// file, that over the defaults. Every source is checked as a whole, also where
// another one wins. The error joins everything found: [*FieldError] for values, and
// what reading the file returned.
func Load(src Sources) (Config, error) {
	lookup := src.LookupEnv
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	c := Default()
	errs := []error{src.loadFile(&c, lookup)}
	for _, s := range settings(&c) {
		if text, ok := lookup(s.env()); ok {
			errs = append(errs, s.set("environment variable "+s.env(), text))
		}
	}
	// Neither is a setting: a flag or a file for keys would show them to everybody.
	if text, ok := lookup(SecretsEnv); ok {
		c.SecretsKeys = secrets.New(text)
	}
	c.CredentialsDir, _ = lookup(credentialsEnv)
	if src.Flags != nil {
		for _, s := range settings(&c) {
			if f := src.Flags.Lookup(s.flag()); f != nil && f.Changed {
				errs = append(errs, s.set("flag --"+s.flag(), f.Value.String()))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (s setting) set(source, text string) error {
	if err := s.value.Set(text); err != nil {
		return &FieldError{Source: source, Field: s.name, Value: text, Accepted: err.Error()}
	}
	return nil
}

func (src Sources) loadFile(c *Config, lookup func(string) (string, bool)) error {
	path, named := lookup(configEnv)
	if src.Flags != nil {
		if f := src.Flags.Lookup(configFlag); f != nil && f.Changed {
			path, named = f.Value.String(), true
		}
	}
	if !named || path == "" {
		path, named = src.DefaultFile, false
	}
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil
	case err != nil:
		return fmt.Errorf("configuration file: %w", err)
	}
	return parseFile(c, path, data)
}
