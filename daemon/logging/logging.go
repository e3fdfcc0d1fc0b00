// Package logging makes the daemon's logger: text or JSON lines on standard error,
// fit for a terminal, a file or systemd's journal.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Format is how a line is written.
type Format string

// The formats.
const (
	// Text is key=value pairs, as slog.TextHandler writes them.
	Text Format = "text"
	// JSON is one object per line.
	JSON Format = "json"
)

// Options say what is written and where.
type Options struct {
	// Level is the least level written: a slog.Level, or a *slog.LevelVar to change
	// it later. nil for info.
	Level slog.Leveler
	// Format is Text when empty.
	Format Format
	// Output receives the lines, each in one Write. Required.
	Output io.Writer
	// Journal is true when Output is read by systemd's journal, see [ToJournal]: lines
	// then carry no time, which the journal adds, and begin with the level as in
	// sd-daemon(3), so that `journalctl -p warning` works.
	Journal bool
}

// New returns a logger. Errors: a Format that is not known.
func New(o Options) (*slog.Logger, error) {
	handler := slog.HandlerOptions{Level: o.Level}
	if o.Journal {
		handler.ReplaceAttr = withoutTime
	}
	var lines func(io.Writer) slog.Handler
	switch o.Format {
	case Text, "":
		lines = func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, &handler) }
	case JSON:
		lines = func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, &handler) }
	default:
		return nil, fmt.Errorf("log format %q: want text or json", o.Format)
	}
	if o.Journal {
		return slog.New(newPrefixHandler(o.Output, lines)), nil
	}
	return slog.New(lines(o.Output)), nil
}

// ParseLevel returns the level called debug, info, warn or error.
func ParseLevel(s string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(s, l.String()) {
			return l, nil
		}
	}
	return 0, fmt.Errorf("log level %q: want debug, info, warn or error", s)
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
