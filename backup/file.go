package backup

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
)

const (
	magic  = "poolwire-backup\n"
	format = 1
	// head is the size of what comes before the manifest.
	head = len(magic) + 4 + 4
	// maxManifest bounds the manifest, in bytes.
	maxManifest = 1 << 20
	// maxState bounds what a body may unfold to, in bytes.
	maxState = 2 << 30
)

// MaxFile bounds a backup file, in bytes.
const MaxFile = 256 << 20

// File is a backup file that has been read and found whole.
type File struct {
	// Manifest says what is in it.
	Manifest *v1.BackupManifest
	body     []byte
}

// Encode returns the file of a state, which write writes. The sizes and the checksum of
// the manifest are filled in.
func Encode(m *v1.BackupManifest, write func(io.Writer) error) ([]byte, error) {
	var body bytes.Buffer
	packed := gzip.NewWriter(&body)
	counted := &counter{to: packed}
	if err := write(counted); err != nil {
		return nil, err
	}
	if err := packed.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body.Bytes())
	m = proto.CloneOf(m)
	m.BodySize, m.BodySha256, m.StateSize = uint64(body.Len()), sum[:], counted.n
	manifest, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, head+len(manifest)+sha256.Size+body.Len())
	out = append(out, magic...)
	out = binary.BigEndian.AppendUint32(out, format)
	out = binary.BigEndian.AppendUint32(out, uint32(len(manifest)))
	out = append(out, manifest...)
	front := sha256.Sum256(out)
	out = append(append(out, front[:]...), body.Bytes()...)
	if len(out) > MaxFile {
		return nil, ErrTooLarge
	}
	return out, nil
}

type counter struct {
	to io.Writer
	n  uint64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += uint64(n)
	return n, err
}

// Decode reads a file and checks all of it but what the body unfolds to. The file keeps
// a part of data.
//
// Errors: [ErrForeign], [ErrTooLarge], *[NewerError], *[TruncatedError], *[DamagedError].
func Decode(data []byte) (*File, error) {
	switch {
	case len(data) > MaxFile:
		return nil, ErrTooLarge
	case len(data) > 0 && strings.HasPrefix(magic, string(data[:min(len(data), len(magic))])) && len(data) < head:
		return nil, cut(data, head, "head")
	case !bytes.HasPrefix(data, []byte(magic)):
		return nil, ErrForeign
	case len(data) < head:
		return nil, cut(data, head, "head")
	}
	if f := binary.BigEndian.Uint32(data[len(magic):]); f != format {
		return nil, &NewerError{Format: f}
	}
	size := binary.BigEndian.Uint32(data[len(magic)+4:])
	if size > maxManifest {
		return nil, &DamagedError{"manifest", fmt.Errorf("its size is %d bytes, at most %d are possible", size, maxManifest)}
	}
	end := head + int(size)
	if len(data) < end+sha256.Size {
		return nil, cut(data, end+sha256.Size, "manifest")
	}
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], data[end:end+sha256.Size]) {
		return nil, &DamagedError{"manifest", errChecksum}
	}
	f := &File{Manifest: &v1.BackupManifest{}, body: data[end+sha256.Size:]}
	if err := proto.Unmarshal(data[head:end], f.Manifest); err != nil {
		return nil, &DamagedError{"manifest", err}
	}
	return f, f.check(uint64(len(data)))
}

var errChecksum = errors.New("its checksum does not match")

func cut(data []byte, want int, part string) error {
	return &TruncatedError{Have: uint64(len(data)), Want: uint64(want), Part: part}
}

// check compares the body with the manifest.
func (f *File) check(size uint64) error {
	m, have := f.Manifest, uint64(len(f.body))
	switch sum := sha256.Sum256(f.body); {
	case m.GetBodySize() > MaxFile || m.GetStateSize() > maxState:
		return &DamagedError{"manifest", fmt.Errorf("it tells of %d bytes that hold %d, which is more than a backup may have", m.GetBodySize(), m.GetStateSize())}
	case have < m.GetBodySize():
		return &TruncatedError{Have: size, Want: size - have + m.GetBodySize(), Part: "body"}
	case have > m.GetBodySize():
		return &DamagedError{"body", fmt.Errorf("%d bytes follow its end", have-m.GetBodySize())}
	case !bytes.Equal(sum[:], m.GetBodySha256()):
		return &DamagedError{"body", errChecksum}
	}
	return nil
}

// State gives the state in the file to read, which has to read it to its end. A body that
// unfolds to more or less than the manifest says is a *[DamagedError].
func (f *File) State(read func(io.Reader) error) error {
	packed, err := gzip.NewReader(bytes.NewReader(f.body))
	if err != nil {
		return &DamagedError{"body", err}
	}
	size := f.Manifest.GetStateSize()
	counted := &meter{from: io.LimitReader(packed, int64(size)+1)}
	if err := read(counted); err != nil {
		return &DamagedError{"body", err}
	}
	if counted.n != size {
		return &DamagedError{"body", fmt.Errorf("it unfolds to %d bytes or more, %d were written", counted.n, size)}
	}
	return nil
}

type meter struct {
	from io.Reader
	n    uint64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	m.n += uint64(n)
	return n, err
}

// ReadFile reads and decodes the file at path, no more of it than a backup may have.
func ReadFile(path string) (*File, []byte, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = in.Close() }()
	data, err := io.ReadAll(io.LimitReader(in, MaxFile+1))
	if err != nil {
		return nil, nil, err
	}
	f, err := Decode(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, data, nil
}
