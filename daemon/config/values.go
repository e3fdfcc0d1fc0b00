package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is a field that can be set from text. An error of Set says what would have
// been accepted, as in "want ...". It fits pflag.Value.
type value interface {
	String() string
	Set(string) error
	Type() string
}

// need says which addresses and paths a setting takes.
type need int

const (
	// required: not empty.
	required need = iota
	// optional: or empty, for none.
	optional
	// reachable: or empty; an address that others can dial.
	reachable
)

func want(format string, args ...any) error {
	return errors.New("want " + fmt.Sprintf(format, args...))
}

type patternValue struct {
	p        *string
	pattern  *regexp.Regexp
	accepted string
}

var namePattern = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._@-]{0,63})?$`)

// nameValue takes what can stand in a certificate as a node's name.
func nameValue(p *string) value {
	return patternValue{p, namePattern, "up to 64 letters, digits, '.', '_', '@' or '-', the first a letter or digit"}
}

func (v patternValue) String() string { return *v.p }
func (v patternValue) Type() string   { return "name" }
func (v patternValue) Set(s string) error {
	if !v.pattern.MatchString(s) {
		return want("%s", v.accepted)
	}
	*v.p = s
	return nil
}

type pathValue struct {
	p    *string
	need need
}

func (v pathValue) String() string { return *v.p }
func (v pathValue) Type() string   { return "path" }
func (v pathValue) Set(s string) error {
	switch {
	case s == "" && v.need != required:
	case strings.ContainsRune(s, 0) || !filepath.IsAbs(s):
		return want("an absolute path")
	default:
		s = filepath.Clean(s)
	}
	*v.p = s
	return nil
}

type addressValue struct {
	p    *string
	need need
}

func (v addressValue) String() string { return *v.p }
func (v addressValue) Type() string   { return "host:port" }
func (v addressValue) Set(s string) error {
	if err := checkAddress(s, v.need); err != nil {
		return err
	}
	*v.p = s
	return nil
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})$`)

func checkAddress(s string, n need) error {
	if s == "" && n != required {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	number, portErr := strconv.ParseUint(port, 10, 16)
	ip, ipErr := netip.ParseAddr(host)
	known := host == "" || ipErr == nil || hostPattern.MatchString(host) && !numeric(host)
	if err != nil || portErr != nil || !known {
		return want("HOST:PORT with PORT from 0 to 65535, for example 192.0.2.10:6653 or [2001:db8::10]:6653")
	}
	if n == reachable && (number == 0 || host == "" || ipErr == nil && ip.IsUnspecified()) {
		return want("an address that others can dial: HOST not empty, 0.0.0.0 or [::], PORT from 1 to 65535")
	}
	return nil
}

// numeric says whether a host name could only be a malformed IPv4 address.
func numeric(host string) bool { return strings.Trim(host, "0123456789.") == "" }

// addressList remembers whether a list was set before: setting it again from the
// same source adds to it, as a flag given twice does.
type addressList struct{ set bool }

type listValue struct {
	p     *[]string
	state *addressList
}

func (v listValue) String() string { return strings.Join(*v.p, ",") }
func (v listValue) Type() string   { return "host:port,..." }
func (v listValue) Set(s string) error {
	if !v.state.set {
		*v.p, v.state.set = nil, true
	}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		if err := checkAddress(item, reachable); err != nil {
			return err
		}
		if !slices.Contains(*v.p, item) {
			*v.p = append(*v.p, item)
		}
	}
	return nil
}

type choiceValue struct {
	p       *string
	choices []string
}

func (v choiceValue) String() string { return *v.p }
func (v choiceValue) Type() string   { return strings.Join(v.choices, "|") }
func (v choiceValue) Set(s string) error {
	if !slices.Contains(v.choices, s) {
		return want("one of %s", strings.Join(v.choices, ", "))
	}
	*v.p = s
	return nil
}

type boolValue struct{ p *bool }

func (v boolValue) String() string { return strconv.FormatBool(*v.p) }
func (v boolValue) Type() string   { return "bool" }
func (v boolValue) Set(s string) error {
	if s != "true" && s != "false" {
		return want("true or false")
	}
	*v.p = s == "true"
	return nil
}

type durationValue struct {
	p        *time.Duration
	min, max time.Duration
}

func (v durationValue) String() string { return durationText(*v.p) }
func (v durationValue) Type() string   { return "duration" }
func (v durationValue) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < v.min || d > v.max {
		return want("a duration from %s to %s, such as 90s or 5m", durationText(v.min), durationText(v.max))
	}
	*v.p = d
	return nil
}

// durationText leaves out the zero units that time.Duration prints: 5m, not 5m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

type intValue struct {
	p        *int
	min, max int
}

func (v intValue) String() string { return strconv.Itoa(*v.p) }
func (v intValue) Type() string   { return "int" }
func (v intValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < v.min || n > v.max {
		return want("a whole number from %d to %d", v.min, v.max)
	}
	*v.p = n
	return nil
}
