package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// momentForms says how a time is written.
const momentForms = `"2026-11-17T14:00", "2026-11-17 14:00:30" or "2026-11-17" in the local time zone,
"2026-11-17T14:00:00Z" with a zone, or "2h ago", "90m ago", "3d ago"`

// moment tells a person a time: RFC 3339 in the zone of this machine, to the second, which every flag that takes a time
// understands. It is the one form that the client prints; the server's texts have it in UTC. Empty for none.
func moment(at *timestamppb.Timestamp) string {
	if at == nil {
		return ""
	}
	return momentOf(at.AsTime())
}

// momentOf is moment of a time.
func momentOf(at time.Time) string { return at.Local().Format(time.RFC3339) }

// momentFlag reads a time that a flag has; nil for an empty one.
func momentFlag(flag, text string) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	at, err := parseMoment(text, time.Now())
	if err != nil {
		return nil, usageError{fmt.Errorf("--%s %w", flag, err)}
	}
	return timestamppb.New(at), nil
}

// parseMoment reads a time in one of momentForms; now gives the local time zone.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return at, nil
		}
	}
	if span, found := strings.CutSuffix(text, " ago"); found {
		if days, found := strings.CutSuffix(strings.TrimSpace(span), "d"); found {
			if n, err := strconv.ParseUint(days, 10, 16); err == nil {
				return now.AddDate(0, 0, -int(n)), nil
			}
		}
		if d, err := time.ParseDuration(strings.TrimSpace(span)); err == nil && d >= 0 {
			return now.Add(-d), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: use %s", text, strings.ReplaceAll(momentForms, "\n", " "))
}
