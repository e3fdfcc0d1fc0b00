package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
)

// ToJournal says whether what is written to f goes to systemd's journal.
// journalStream is the environment's JOURNAL_STREAM: "DEVICE:INODE" of the stream
// that systemd connected. It is inherited by everything started from the service, so
// the file must be compared (systemd.exec(5)).
func ToJournal(journalStream string, f *os.File) bool {
	var device, inode uint64
	if n, err := fmt.Sscanf(journalStream, "%d:%d", &device, &inode); n != 2 || err != nil {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Dev == device && stat.Ino == inode
}

// prefixHandler sends each record to the handler of its severity, which begins the
// line with it. slog's handlers cannot write anything before their first key.
type prefixHandler struct {
	bySeverity [4]slog.Handler
}

// severities are the slog levels' syslog severities (RFC 5424, 6.2.1).
var severities = [4]struct {
	from   slog.Level
	prefix string
}{
	{slog.LevelError, "<3>"},
	{slog.LevelWarn, "<4>"},
	{slog.LevelInfo, "<6>"},
	// Everything lower.
	{slog.LevelDebug, "<7>"},
}

func newPrefixHandler(w io.Writer, lines func(io.Writer) slog.Handler) *prefixHandler {
	h, mu := &prefixHandler{}, &sync.Mutex{}
	for i, s := range severities {
		h.bySeverity[i] = lines(&prefixWriter{w: w, mu: mu, prefix: s.prefix})
	}
	return h
}

func severity(l slog.Level) int {
	for i, s := range severities {
		if l >= s.from {
			return i
		}
	}
	return len(severities) - 1
}

// Enabled says whether records of this level are written.
func (h *prefixHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.bySeverity[0].Enabled(ctx, l)
}

// Handle writes one record.
func (h *prefixHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.bySeverity[severity(r.Level)].Handle(ctx, r)
}

// WithAttrs returns a handler that adds attributes to every record.
func (h *prefixHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(in slog.Handler) slog.Handler { return in.WithAttrs(attrs) })
}

// WithGroup returns a handler that puts what follows into a group.
func (h *prefixHandler) WithGroup(name string) slog.Handler {
	return h.each(func(in slog.Handler) slog.Handler { return in.WithGroup(name) })
}

func (h *prefixHandler) each(f func(slog.Handler) slog.Handler) slog.Handler {
	out := &prefixHandler{}
	for i, in := range h.bySeverity {
		out.bySeverity[i] = f(in)
	}
	return out
}

// prefixWriter writes a prefix and what it is given at once. The mutex is shared by
// the writers of one output.
type prefixWriter struct {
	w      io.Writer
	mu     *sync.Mutex
	prefix string
	buf    []byte
}

// Write writes the prefix and one line.
func (p *prefixWriter) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buf = append(append(p.buf[:0], p.prefix...), line...)
	if _, err := p.w.Write(p.buf); err != nil {
		return 0, err
	}
	return len(line), nil
}
