package raftstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

// A bit that rots in the log is found when the node starts, and the entry is named.
func TestOpenDamagedLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSingle(t, dir)
	marked := apply(t, s, createPool("unmistakable"))
	apply(t, s, createPool("later"))
	closeStore(t, s)
	flip(t, filepath.Join(dir, logDir), []byte("unmistakable"))

	_, err := Open(patience(t), Config{NodeID: "n1", Dir: dir, Raft: quick()})
	var damaged *CorruptError
	if !errors.As(err, &damaged) {
		t.Fatalf("Open: %v", err)
	}
	if want := "entry "; !strings.Contains(damaged.What, want) || damaged.Path != filepath.Join(dir, logDir) || marked.Revision == 0 {
		t.Errorf("error %q names neither the entry nor the directory", damaged)
	}
}

// flip changes one bit of the first place where a file of a directory holds a text.
func flip(t *testing.T, dir string, text []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of the log in %s: %v", dir, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(data, text); at >= 0 {
			data[at] ^= 1
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no file of the log holds %q", text)
}

// What is read is what was written, extensions included, and any change to it is noticed.
func TestSeal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		below := raft.NewInmemStore()
		s := sealedLogs{below, "somewhere"}
		want := raft.Log{
			Index: rapid.Uint64Range(1, 1<<40).Draw(t, "index"), Term: rapid.Uint64().Draw(t, "term"),
			Type: raft.LogType(rapid.Byte().Draw(t, "type")), Data: rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "data"),
		}
		if ext := rapid.SliceOf(rapid.Byte()).Draw(t, "extensions"); len(ext) > 0 {
			want.Extensions = ext
		}
		given := want
		if err := s.StoreLog(&given); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, given); diff != "" {
			t.Errorf("the entry given was changed:\n%s", diff)
		}
		var got raft.Log
		if err := s.GetLog(want.Index, &got); err != nil || !cmp.Equal(want, got) {
			t.Fatalf("read %v, %v; want %v", got, err, want)
		}

		var stored raft.Log
		_ = below.GetLog(want.Index, &stored)
		stored.Data = bytes.Clone(stored.Data)
		stored.Data[rapid.IntRange(0, len(stored.Data)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		_ = below.StoreLog(&stored)
		var damaged *CorruptError
		if err := s.GetLog(want.Index, &got); !errors.As(err, &damaged) {
			t.Errorf("a changed entry was read: %v", err)
		}
	})
}

// Entries from before there were sums are read as they are.
func TestUnsealedEntry(t *testing.T) {
	t.Parallel()
	below := raft.NewInmemStore()
	want := raft.Log{Index: 1, Term: 1, Data: []byte("old")}
	if err := below.StoreLog(&want); err != nil {
		t.Fatal(err)
	}
	var got raft.Log
	if err := (sealedLogs{below, ""}).GetLog(1, &got); err != nil || !cmp.Equal(want, got) {
		t.Errorf("read %v, %v", got, err)
	}
}
