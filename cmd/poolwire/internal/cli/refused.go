package cli

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// refusal is what equal refused connections have in common, and how many there
// were: a peer dials from another port each time.
type refusal struct {
	peer, reason string
	count        int
	// last is when the newest was refused.
	last time.Time
}

// foldRefused joins refused connections of one address with one reason. lines
// are the server's, newest first: "TIME ADDRESS:PORT: REASON". A line of another
// form stands for itself.
func foldRefused(lines []string) []refusal {
	var out []refusal
	index := map[string]int{}
	for _, line := range lines {
		r := parseRefused(line)
		key := r.peer + "\x00" + r.reason
		if i, ok := index[key]; ok {
			out[i].count++
			continue
		}
		index[key] = len(out)
		out = append(out, r)
	}
	return out
}

func parseRefused(line string) refusal {
	stamp, rest, _ := strings.Cut(line, " ")
	remote, reason, _ := strings.Cut(rest, ": ")
	last, err := time.Parse(time.RFC3339, stamp)
	peer, _, splitErr := net.SplitHostPort(remote)
	if err != nil || splitErr != nil {
		return refusal{reason: line, count: 1}
	}
	return refusal{peer: peer, reason: strings.ReplaceAll(reason, remote, peer), count: 1, last: last}
}

// text writes a refusal.
func (r refusal) text() string {
	if r.peer == "" {
		return r.reason
	}
	when := "at " + momentOf(r.last)
	if r.count > 1 {
		when = fmt.Sprintf("×%d, last %s", r.count, momentOf(r.last))
	}
	return fmt.Sprintf("%s: %s (%s)", r.peer, r.reason, when)
}
