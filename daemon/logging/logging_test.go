package logging_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"poolwire/daemon/logging"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options logging.Options
		want    string
	}{
		{"text", logging.Options{}, `^time=\S+ level=WARN msg="host lost" component=ovsdb g.host=h1\n$`},
		{"json", logging.Options{Format: logging.JSON}, `^\{"time":"[^"]+","level":"WARN","msg":"host lost","component":"ovsdb","g":\{"host":"h1"\}\}\n$`},
		{"text in the journal", logging.Options{Journal: true}, `^<4>level=WARN msg="host lost" component=ovsdb g.host=h1\n$`},
		{"json in the journal", logging.Options{Format: logging.JSON, Journal: true}, `^<4>\{"level":"WARN","msg":"host lost","component":"ovsdb","g":\{"host":"h1"\}\}\n$`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			tt.options.Output = &out
			log, err := logging.New(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			log.Debug("not written")
			log.With("component", "ovsdb").WithGroup("g").Warn("host lost", "host", "h1")
			if !regexp.MustCompile(tt.want).MatchString(out.String()) {
				t.Errorf("got %q, want a match of %s", out.String(), tt.want)
			}
		})
	}
}

// A time that is not the record's own must survive in the journal too.
func TestJournalKeepsOtherTimes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := logging.New(logging.Options{Output: &out, Journal: true})
	if err != nil {
		t.Fatal(err)
	}
	log.WithGroup("flow").Info("m", slog.TimeKey, "7")
	if got, want := out.String(), "<6>level=INFO msg=m flow.time=7\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	for level, prefix := range map[slog.Level]string{
		slog.LevelDebug - 4: "<7>", slog.LevelDebug: "<7>", slog.LevelInfo: "<6>", slog.LevelInfo + 1: "<6>",
		slog.LevelWarn: "<4>", slog.LevelError: "<3>", slog.LevelError + 4: "<3>",
	} {
		var out bytes.Buffer
		log, err := logging.New(logging.Options{Output: &out, Journal: true, Level: slog.Level(-100)})
		if err != nil {
			t.Fatal(err)
		}
		log.Log(t.Context(), level, "m")
		if !strings.HasPrefix(out.String(), prefix) {
			t.Errorf("level %v: %q, want prefix %s", level, out.String(), prefix)
		}
	}
}

func TestHostileTextStaysOneLine(t *testing.T) {
	t.Parallel()
	for _, format := range []logging.Format{logging.Text, logging.JSON} {
		var out bytes.Buffer
		log, err := logging.New(logging.Options{Output: &out, Journal: true, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		log.Info("m", "name", "x\n<0>forged\r\x1b[2J")
		if n := strings.Count(out.String(), "\n"); n != 1 || strings.ContainsAny(out.String(), "\r\x1b") {
			t.Errorf("%s: %q", format, out.String())
		}
	}
}

// wholeLines fails when a line comes in pieces.
type wholeLines struct {
	t     *testing.T
	lines int
}

func (w *wholeLines) Write(p []byte) (int, error) {
	var v struct{ Msg string }
	rest, ok := bytes.CutPrefix(p, []byte("<"))
	if !ok || len(rest) < 2 || json.Unmarshal(rest[2:], &v) != nil || v.Msg == "" {
		w.t.Errorf("not a whole line: %q", p)
	}
	w.lines++
	return len(p), nil
}

func TestConcurrentLinesStayWhole(t *testing.T) {
	t.Parallel()
	out := &wholeLines{t: t}
	log, err := logging.New(logging.Options{Output: out, Journal: true, Format: logging.JSON})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				log.Log(t.Context(), slog.Level(4*(j%3)), fmt.Sprintf("message %d of %d", j, i))
			}
		})
	}
	wg.Wait()
	if out.lines != 400 {
		t.Errorf("%d lines, want 400", out.lines)
	}
}

func TestLevelCanChange(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	level := new(slog.LevelVar)
	log, err := logging.New(logging.Options{Output: &out, Level: level})
	if err != nil {
		t.Fatal(err)
	}
	level.Set(slog.LevelError)
	log.Warn("no")
	level.Set(slog.LevelDebug)
	log.Debug("yes")
	if !strings.Contains(out.String(), "msg=yes") || strings.Contains(out.String(), "msg=no") {
		t.Errorf("got %q", out.String())
	}
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError, "WARN": slog.LevelWarn} {
		if got, err := logging.ParseLevel(name); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "warning", "INFO+1", "4"} {
		if got, err := logging.ParseLevel(name); err == nil {
			t.Errorf("%q: accepted as %v", name, got)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	t.Parallel()
	if _, err := logging.New(logging.Options{Format: "xml", Output: &bytes.Buffer{}}); err == nil || !strings.Contains(err.Error(), `"xml"`) {
		t.Errorf("got %v", err)
	}
}

func TestToJournal(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	for stream, want := range map[string]bool{
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino):   true,
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1): false,
		"": false, "x:y": false, "1": false,
	} {
		if got := logging.ToJournal(stream, f); got != want {
			t.Errorf("%q: %v, want %v", stream, got, want)
		}
	}
}
