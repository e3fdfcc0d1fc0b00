package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	v1 "poolwire/proto/poolwire/v1"
)

// tester is what *testing.T and *rapid.T share.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func encode(t tester, m *v1.BackupManifest, state []byte) []byte {
	t.Helper()
	out, err := Encode(m, func(w io.Writer) error {
		_, err := w.Write(state)
		return err
	})
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	return out
}

func stateOf(f *File) ([]byte, error) {
	var out []byte
	err := f.State(func(r io.Reader) (err error) {
		out, err = io.ReadAll(r)
		return err
	})
	return out, err
}

func sample(t tester) []byte {
	return encode(t, &v1.BackupManifest{ClusterUuid: "c1", Revision: 7, Objects: map[string]uint32{"pools": 2}}, []byte(strings.Repeat("the state ", 500)))
}

// What is encoded is decoded; a file with any one byte changed or with its end missing is
// refused, and nothing panics.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		state := rapid.SliceOf(rapid.Byte()).Draw(rt, "state")
		m := &v1.BackupManifest{ClusterUuid: rapid.StringMatching(`[a-z]{0,9}`).Draw(rt, "uuid"), Revision: rapid.Uint64().Draw(rt, "revision")}
		data := encode(rt, m, state)
		f, err := Decode(data)
		if err != nil {
			rt.Fatalf("Decode: %v", err)
		}
		got, err := stateOf(f)
		if err != nil || !bytes.Equal(got, state) || f.Manifest.GetRevision() != m.GetRevision() || f.Manifest.GetClusterUuid() != m.GetClusterUuid() {
			rt.Fatalf("state %q, manifest %v, %v", got, f.Manifest, err)
		}
		at := rapid.IntRange(0, len(data)-1).Draw(rt, "at")
		bad := bytes.Clone(data)
		bad[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if _, err := Decode(bad); err == nil {
			rt.Fatalf("byte %d was changed, and not noticed", at)
		}
		var cut *TruncatedError
		if _, err := Decode(data[:at]); at > 0 && !errors.As(err, &cut) {
			rt.Fatalf("cut at %d: %v", at, err)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	good := sample(t)
	newer := bytes.Clone(good)
	binary.BigEndian.PutUint32(newer[len(magic):], 9)
	huge := bytes.Clone(good)
	binary.BigEndian.PutUint32(huge[len(magic)+4:], maxManifest+1)
	body := bytes.Clone(good)
	body[len(body)-1] ^= 1
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":              {nil, "is no backup of Poolwire"},
		"foreign":            {[]byte("PK\x03\x04 something else entirely"), "is no backup of Poolwire"},
		"newer":              {newer, "format 9, this version reads 1"},
		"huge manifest":      {huge, "manifest: its size is 1048577 bytes"},
		"cut in the head":    {good[:10], "cut off in its head: it has 10 of 24 bytes"},
		"cut in the body":    {good[:len(good)-3], "cut off in its body"},
		"something behind":   {append(bytes.Clone(good), 1, 2), "body: 2 bytes follow its end"},
		"a bit of the body":  {body, "body: its checksum does not match"},
		"a bit of the front": {flip(good, head+2), "manifest: its checksum does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Decode(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func flip(data []byte, at int) []byte {
	out := bytes.Clone(data)
	out[at] ^= 1
	return out
}

// forge makes a file whose checksums are right, whatever its manifest says.
func forge(t tester, m *v1.BackupManifest, body []byte) []byte {
	sum := sha256.Sum256(body)
	m.BodySize, m.BodySha256 = uint64(len(body)), sum[:]
	manifest, err := proto.Marshal(m)
	if err != nil {
		t.Fatalf("%v", err)
	}
	out := binary.BigEndian.AppendUint32([]byte(magic), format)
	out = append(binary.BigEndian.AppendUint32(out, uint32(len(manifest))), manifest...)
	front := sha256.Sum256(out)
	return append(append(out, front[:]...), body...)
}

// A body that unfolds to more than was promised is not unfolded any further.
func TestBodiesThatUnfoldToSomethingElse(t *testing.T) {
	t.Parallel()
	f, err := Decode(encode(t, &v1.BackupManifest{}, make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		size uint64
		body []byte
	}{"more": {1000, f.body}, "less": {2 << 20, f.body}, "no gzip": {5, []byte("xxxxx")}, "nothing": {0, nil}, "cut gzip": {1 << 20, f.body[:len(f.body)-9]}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := Decode(forge(t, &v1.BackupManifest{StateSize: tt.size}, tt.body))
			if err != nil {
				t.Fatal(err)
			}
			var damaged *DamagedError
			if got, err := stateOf(f); !errors.As(err, &damaged) || uint64(len(got)) > tt.size+1 {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	if _, err := Decode(forge(t, &v1.BackupManifest{StateSize: maxState + 1}, nil)); err == nil {
		t.Error("an absurd size was accepted")
	}
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "b")
	if _, _, err := ReadFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, sample(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, data, err := ReadFile(path); err != nil || f.Manifest.GetRevision() != 7 || !bytes.Equal(data, sample(t)) {
		t.Errorf("%v, %v", f, err)
	}
	if err := os.Truncate(path, 30); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("the error does not name the file: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample(&fuzzer{f}))
	f.Add(forge(&fuzzer{f}, &v1.BackupManifest{StateSize: 9}, []byte("x")))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if file, err := Decode(data); err == nil {
			_, _ = stateOf(file)
		}
	})
}

type fuzzer struct{ f *testing.F }

func (z *fuzzer) Helper()                           {}
func (z *fuzzer) Fatalf(format string, args ...any) { z.f.Fatalf(format, args...) }

// FuzzForged decodes files of which every sum is right, which FuzzDecode hardly ever makes: what is behind the sums has to
// hold by itself. No more is unfolded than the manifest says.
func FuzzForged(f *testing.F) {
	for _, state := range [][]byte{nil, []byte("state"), make([]byte, 4096)} {
		file, err := Decode(encode(&fuzzer{f}, &v1.BackupManifest{Revision: 7}, state))
		if err != nil {
			f.Fatal(err)
		}
		for _, size := range []int{len(state), len(state) / 2, 2*len(state) + 1} {
			manifest, err := proto.Marshal(&v1.BackupManifest{Revision: 7, StateSize: uint64(size)})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(manifest, file.body)
		}
	}
	f.Add([]byte{}, []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, manifest, body []byte) {
		m := &v1.BackupManifest{}
		if proto.Unmarshal(manifest, m) != nil {
			return
		}
		tooMuch := m.GetStateSize() > maxState
		file, err := Decode(forge(t, m, body))
		if (err != nil) != tooMuch {
			t.Fatalf("a file whose sums are right, of %d bytes that hold %d: %v", len(body), m.GetStateSize(), err)
		}
		if err != nil {
			return
		}
		if state, err := stateOf(file); uint64(len(state)) > m.GetStateSize()+1 || err == nil && uint64(len(state)) != m.GetStateSize() {
			t.Errorf("%d bytes of %d, %v", len(state), m.GetStateSize(), err)
		}
	})
}
