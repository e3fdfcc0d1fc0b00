package raftstore

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// newLogger gives the Raft libraries an hclog.Logger that writes to slog, under
// component=name. slog's handler decides on levels; trace counts as debug.
func newLogger(to *slog.Logger, name string) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: name, Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(logSink{to})
	return l
}

// logSink receives what an hclog.InterceptLogger logs.
type logSink struct{ to *slog.Logger }

// Accept writes one record (hclog.SinkAdapter).
func (s logSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	ctx, l := context.Background(), slogLevel(level)
	if s.to.Enabled(ctx, l) {
		s.to.With("component", name).Log(ctx, l, msg, plain(args)...)
	}
}

func slogLevel(l hclog.Level) slog.Level {
	switch l {
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	case hclog.Info:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// plain renders hclog.Fmt values, which are a format and its arguments.
func plain(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			a = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
		out[i] = a
	}
	return out
}
