package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// ruleWords are the parameters of XCP-ng's sdncontroller plugin, as words
// (bridge=xenbr0, also with the prefix args:) or as flags (--bridge xenbr0).
type ruleWords struct {
	values map[string]*string
}

// xcpParameters lists the plugin's parameter names with the flags for them.
var xcpParameters = []struct{ word, flag, help string }{
	{"bridge", "bridge", "bridge, or network by name or UUID"},
	{"mac", "mac", "MAC address of the VIF; without it the rule is for the whole network"},
	{"ipRange", "ip-range", "IPv4 or IPv6 address or prefix of the far end; empty for any"},
	{"direction", "direction", "which end ip-range and port describe: from (source), to (destination) or from/to"},
	{"protocol", "protocol", "ip, tcp, udp, icmp or arp"},
	{"port", "port", "0 to 65535; needed for tcp and udp"},
	{"allow", "allow", "true lets the traffic pass, false drops it"},
	{"priority", "priority", "0 to 65535; the highest wins (default 32768)"},
	{"cookie", "cookie", "label of 1 to 16 hexadecimal digits; rules of one label are replaced and removed together"},
	{"pool", "pool", "pool, when several pools have the bridge"},
}

func newRuleWords(c *cobra.Command, omit ...string) *ruleWords {
	w := &ruleWords{values: map[string]*string{}}
	for _, p := range xcpParameters {
		if !slices.Contains(omit, p.word) {
			w.values[p.word] = c.Flags().String(p.flag, "", p.help)
		}
	}
	return w
}

// read takes the words of the command line; a parameter given twice, as a word
// and as a flag or as two words, is a mistake.
func (w *ruleWords) read(flags *pflag.FlagSet, args []string) error {
	given := map[string]bool{}
	for _, p := range xcpParameters {
		if w.values[p.word] != nil && flags.Changed(p.flag) {
			given[p.word] = true
		}
	}
	for _, arg := range args {
		name, value, ok := strings.Cut(strings.TrimPrefix(arg, "args:"), "=")
		if !ok {
			return usageError{fmt.Errorf("%q: use NAME=VALUE, with NAME one of %s", arg, w.known())}
		}
		target := w.values[name]
		if target == nil {
			return usageError{fmt.Errorf("%q: unknown parameter; known are %s", name, w.known())}
		}
		if given[name] {
			return usageError{fmt.Errorf("%q: given twice", name)}
		}
		*target, given[name] = value, true
	}
	return nil
}

func (w *ruleWords) known() string {
	var names []string
	for _, p := range xcpParameters {
		if w.values[p.word] != nil {
			names = append(names, p.word)
		}
	}
	return strings.Join(names, ", ")
}

func (w *ruleWords) get(word string) string {
	if v := w.values[word]; v != nil {
		return *v
	}
	return ""
}

// direction accepts the plugin's spelling.
func (w *ruleWords) direction() (poolwirev1.Direction, error) {
	switch v := strings.ToLower(w.get("direction")); v {
	case "":
		return poolwirev1.Direction_DIRECTION_UNSPECIFIED, nil
	case "from":
		return poolwirev1.Direction_DIRECTION_FROM, nil
	case "to":
		return poolwirev1.Direction_DIRECTION_TO, nil
	case "from/to", "to/from", "from-to":
		return poolwirev1.Direction_DIRECTION_FROM_TO, nil
	default:
		return 0, usageError{fmt.Errorf("direction %q: use from, to or from/to", v)}
	}
}

func (w *ruleWords) protocol() (poolwirev1.Protocol, error) {
	v := w.get("protocol")
	if v == "" {
		return poolwirev1.Protocol_PROTOCOL_UNSPECIFIED, nil
	}
	if n, ok := poolwirev1.Protocol_value["PROTOCOL_"+strings.ToUpper(v)]; ok && n != 0 {
		return poolwirev1.Protocol(n), nil
	}
	return 0, usageError{fmt.Errorf("protocol %q: use ip, tcp, udp, icmp or arp", v)}
}

// number parses an optional number; ranges are the server's to judge.
func (w *ruleWords) number(word string) (*uint32, error) {
	v := w.get(word)
	if v == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s %q: use a whole number from 0 to 65535", word, v)}
	}
	short := uint32(n)
	return &short, nil
}

// allow requires the parameter: the plugin has no default, and a forgotten one
// must not open or close anything.
func (w *ruleWords) allow() (bool, error) {
	switch v := strings.ToLower(w.get("allow")); v {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "":
		return false, usageError{fmt.Errorf("allow: required; use allow=true or allow=false")}
	default:
		return false, usageError{fmt.Errorf("allow %q: use true or false", v)}
	}
}
