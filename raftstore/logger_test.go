package raftstore

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := newLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})), "raft")
	l.Debug("hidden")
	l.Trace("hidden")
	l.Info("hello", "servers", hclog.Fmt("%d of %d", 1, 3))
	l.Named("sub").With("peer", "n2").Warn("careful")
	l.With("a", 1).ResetNamed("other").Error("bad", "error", "x")
	want := `level=INFO msg=hello component=raft servers="1 of 3"
level=WARN msg=careful component=raft.sub peer=n2
level=ERROR msg=bad component=other a=1 error=x
`
	if out.String() != want {
		t.Errorf("log is\n%swant\n%s", out.String(), want)
	}
}
