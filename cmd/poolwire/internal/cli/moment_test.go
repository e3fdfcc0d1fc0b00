package cli

import (
	"testing"
	"time"
)

func TestParseMoment(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 21, 15, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"2026-11-17T14:00":            time.Date(2026, 11, 17, 14, 0, 0, 0, zone),
		"2026-11-17 14:00:30":         time.Date(2026, 11, 17, 14, 0, 30, 0, zone),
		"2026-11-17":                  time.Date(2026, 11, 17, 0, 0, 0, 0, zone),
		"2026-11-17T14:00:00Z":        time.Date(2026, 11, 17, 14, 0, 0, 0, time.UTC),
		"2026-11-17T14:00:00.5+02:00": time.Date(2026, 11, 17, 12, 0, 0, 5e8, time.UTC),
		"2h ago":                      now.Add(-2 * time.Hour),
		"3d ago":                      now.AddDate(0, 0, -3),
	} {
		if got, err := parseMoment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "yesterday", "-2h ago", "2h", "2026-13-01", "d ago", "99999999999d ago"} {
		if _, err := parseMoment(bad, now); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
