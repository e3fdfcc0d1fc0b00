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

// value is a field of a Config that can be set from text. It is a pflag.Value.
type value struct {
	// field points to the field.
	field any
	// kind is what --help shows as the value's form.
	kind string
	// get returns the field as a text that set accepts.
	get func() string
	// set checks and sets the field. Its error says what is accepted: "want ...".
	set func(string) error
}

// String returns the present value.
func (v value) String() string {
	if v.get == nil {
		return ""
	}
	return v.get()
}

// Set sets the field, or says what would be accepted.
func (v value) Set(s string) error { return v.set(s) }

// Type is the value's form, for --help.
func (v value) Type() string { return v.kind }

// The kinds that are written to the example without quotes.
const (
	kindList = "host:port,..."
	kindBool = "bool"
	kindInt  = "int"
)

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

var namePattern = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._@-]{0,63})?$`)

// textValue is a text that must pass check, which may also put it in order.
func textValue(p *string, kind string, check func(string) (string, error)) value {
	return value{p, kind, func() string { return *p }, func(s string) error {
		checked, err := check(s)
		if err == nil {
			*p = checked
		}
		return err
	}}
}

// nameValue takes what can stand in a certificate as a node's name.
func nameValue(p *string) value {
	return textValue(p, "name", func(s string) (string, error) {
		if !namePattern.MatchString(s) {
			return "", want("up to 64 letters, digits, '.', '_', '@' or '-', the first a letter or digit")
		}
		return s, nil
	})
}

func pathValue(p *string, n need) value {
	return textValue(p, "path", func(s string) (string, error) {
		switch {
		case s == "" && n != required:
			return "", nil
		case strings.ContainsRune(s, 0) || !filepath.IsAbs(s):
			return "", want("an absolute path")
		}
		return filepath.Clean(s), nil
	})
}

func addressValue(p *string, n need) value {
	return textValue(p, "host:port", func(s string) (string, error) { return s, checkAddress(s, n) })
}

func choiceValue(p *string, choices ...string) value {
	return textValue(p, strings.Join(choices, "|"), func(s string) (string, error) {
		if !slices.Contains(choices, s) {
			return "", want("one of %s", strings.Join(choices, ", "))
		}
		return s, nil
	})
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

// listValue is a list of addresses, as text separated by commas. Set again from the
// same source it adds to the list, as a flag given twice does.
func listValue(p *[]string) value {
	again := false
	return value{p, kindList, func() string { return strings.Join(*p, ",") }, func(s string) error {
		if !again {
			*p, again = nil, true
		}
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			if err := checkAddress(item, reachable); err != nil {
				return err
			}
			if !slices.Contains(*p, item) {
				*p = append(*p, item)
			}
		}
		return nil
	}}
}

func boolValue(p *bool) value {
	return value{p, kindBool, func() string { return strconv.FormatBool(*p) }, func(s string) error {
		if s != "true" && s != "false" {
			return want("true or false")
		}
		*p = s == "true"
		return nil
	}}
}

func intValue(p *int, least, most int) value {
	return value{p, kindInt, func() string { return strconv.Itoa(*p) }, func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return want("a whole number from %d to %d", least, most)
		}
		*p = n
		return nil
	}}
}

func durationValue(p *time.Duration, least, most time.Duration) value {
	return value{p, "duration", func() string { return durationText(*p) }, func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > most {
			return want("a duration from %s to %s, such as 90s or 5m", durationText(least), durationText(most))
		}
		*p = d
		return nil
	}}
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
