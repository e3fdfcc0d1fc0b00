package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"poolwire/privatefile"
)

// envPrefix begins the name of every environment variable of the client.
const envPrefix = "POOLWIRE_"

// defaultTimeout bounds a command when neither flag nor environment does.
const defaultTimeout = 30 * time.Second

// globalFlags are understood by every command.
type globalFlags struct {
	server, socket, cert, key, ca string
	tokenFile                     string
	output                        string
	wait                          string
	timeout                       time.Duration
	stale                         bool

	// lookup reads the environment, as os.LookupEnv does; nil for none.
	lookup func(string) (string, bool)
	// badEnv is what is wrong with the environment, for check.
	badEnv error
	set    *pflag.FlagSet
}

// register adds the flags; the environment gives their defaults.
func (f *globalFlags) register(root *cobra.Command) {
	p := root.PersistentFlags()
	f.set = p
	p.StringVar(&f.server, "server", f.env("SERVER", ""), "API addresses of controller nodes, HOST:PORT with commas between; the next is asked when one is gone. Empty uses the socket")
	p.BoolVar(&f.stale, "stale", false, "read from the node that is asked, though others may know more: an answer even when nobody leads")
	p.StringVar(&f.socket, "socket", f.env("SOCKET", defaultSocket), "the daemon's own socket, used when no server is named")
	p.StringVar(&f.cert, "cert", f.env("CERT", ""), "client certificate, PEM")
	p.StringVar(&f.key, "key", f.env("KEY", ""), "key of the client certificate, PEM")
	p.StringVar(&f.ca, "ca", f.env("CA", ""), "root certificate of the controller, PEM")
	p.StringVar(&f.tokenFile, "token-file", f.env("TOKEN_FILE", ""), "file with a bearer token, which says who you are, readable by you alone; POOLWIRE_TOKEN holds the token itself")
	p.StringVarP(&f.output, "output", "o", f.env("OUTPUT", "table"), "output format: table, wide, json or yaml")
	p.StringVar(&f.wait, "wait", f.env("WAIT", waitHosts), "after a change, wait until the hosts have confirmed it: hosts or none")
	p.DurationVar(&f.timeout, "timeout", f.envTimeout(), "longest time for a command, waiting included, like 30s or 2m")
}

// env is the value of a variable; one that is empty counts as not set.
func (f *globalFlags) env(name, fallback string) string {
	if f.lookup != nil {
		if v, ok := f.lookup(envPrefix + name); ok && v != "" {
			return v
		}
	}
	return fallback
}

// envTimeout parses the variable for --timeout. A bad one is kept for check:
// help must work all the same.
func (f *globalFlags) envTimeout() time.Duration {
	v := f.env("TIMEOUT", "")
	if v == "" {
		return defaultTimeout
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		f.badEnv = fmt.Errorf("%sTIMEOUT %q: use a duration like 30s or 2m", envPrefix, v)
		return defaultTimeout
	}
	return d
}

// origin names where a value came from: the flag, or the variable.
func (f *globalFlags) origin(flag, variable string) string {
	if f.env(variable, "") != "" && !f.set.Changed(flag) {
		return envPrefix + variable
	}
	return "--" + flag
}

// check refuses values that no command can use.
func (f *globalFlags) check() error {
	if f.badEnv != nil {
		return usageError{f.badEnv}
	}
	if _, ok := printers[f.output]; !ok {
		return usageError{fmt.Errorf("%s %q: use table, wide, json or yaml", f.origin("output", "OUTPUT"), f.output)}
	}
	if f.wait != waitHosts && f.wait != waitNone {
		return usageError{fmt.Errorf("%s %q: use hosts or none", f.origin("wait", "WAIT"), f.wait)}
	}
	if f.timeout <= 0 {
		return usageError{fmt.Errorf("%s %q: use a positive duration like 30s or 2m", f.origin("timeout", "TIMEOUT"), f.timeout)}
	}
	return f.checkServer()
}

// checkServer refuses a server that nothing is said to.
func (f *globalFlags) checkServer() error {
	switch {
	case f.server == "":
		return f.checkSocket()
	case strings.HasPrefix(f.server, "unix:"):
		return usageError{fmt.Errorf("%s %q: name a socket with --socket, and its path alone", f.origin("server", "SERVER"), f.server)}
	case f.ca == "":
		return usageError{errors.New("--server needs --ca: the controller is known by its root certificate")}
	case (f.cert == "") != (f.key == ""):
		return usageError{errors.New("--cert needs --key, and --key --cert")}
	case f.cert == "" && f.tokenFile == "" && f.env("TOKEN", "") == "":
		return usageError{errors.New("--server needs --cert and --key, or --token-file: the API accepts nobody without a certificate or a token")}
	}
	return nil
}

// checkSocket refuses credentials that would not be looked at. Those of the environment may be there for other commands.
func (f *globalFlags) checkSocket() error {
	for _, flag := range []string{"cert", "key"} {
		if f.set.Changed(flag) {
			return usageError{fmt.Errorf("--%s needs --server: on the socket you are local root, whatever you present", flag)}
		}
	}
	return nil
}

// maxTokenFile bounds a file with a token, in bytes.
const maxTokenFile = 1024

// token is the bearer token; empty for none. The file wins over the variable; one that others may read is refused, as a key
// is. It is never a flag, which other users of the machine could read.
func (f *globalFlags) token() (string, error) {
	text := f.env("TOKEN", "")
	if f.tokenFile != "" {
		data, err := privatefile.Read(f.tokenFile, maxTokenFile)
		if err != nil {
			return "", usageError{fmt.Errorf("%s: %w", f.origin("token-file", "TOKEN_FILE"), err)}
		}
		text = string(data)
	}
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usageError{errors.New("the token holds characters that no token has")}
	}
	return text, nil
}

// ofFile says which flag named a file that could not be read.
func (f *globalFlags) ofFile(err error) error {
	var at *fs.PathError
	if !errors.As(err, &at) {
		return err
	}
	for _, one := range []struct{ flag, variable, path string }{{"cert", "CERT", f.cert}, {"key", "KEY", f.key}, {"ca", "CA", f.ca}} {
		if one.path == at.Path {
			return fmt.Errorf("%s %q: %w", f.origin(one.flag, one.variable), one.path, at.Err)
		}
	}
	return err
}
