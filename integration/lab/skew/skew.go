// Package skew builds programs whose wall clock can be set, each its own, while they run.
//
// The wall clock belongs to the machine: time_namespaces(7) have none, and a Go program reads it without a C library that
// could be replaced. So the program is built with a package time of which two things differ from the toolchain's own: it
// has one file more, and the function Now adds to the wall clock, but not to the monotonic one, as many seconds as a file
// says that can be written to at any time. That is what a program sees when somebody sets the clock of its machine. What
// others tell it stays as it is: the kernel's times of files, and the clocks of the programs that it runs.
package skew

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// variable names the file for the program: a number of seconds, 8 bytes in the machine's order.
const variable = "POOLWIRE_SKEW"

// nowBegins is how time.Now begins in the toolchain's time.go, and skewedNow what it becomes.
const (
	nowBegins = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	skewedNow = nowBegins + "\tsec += skew()\n"
)

// skewSource is the file more. Package time may import no other packages.
const skewSource = `package time

import (
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

var (
	skewOnce  sync.Once
	skewValue *int64
)

// skew is how many seconds the wall clock is ahead.
func skew() int64 {
	skewOnce.Do(mapSkew)
	if skewValue == nil {
		return 0
	}
	return atomic.LoadInt64(skewValue)
}

func mapSkew() {
	path, ok := syscall.Getenv("` + variable + `")
	if !ok {
		return
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("time: " + path + ": " + err.Error())
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("time: " + path + ": " + err.Error())
	}
	_ = syscall.Close(fd)
	skewValue = (*int64)(unsafe.Pointer(&page[0]))
}
`

// Clock is the wall clock of one program.
type Clock struct{ file *os.File }

// NewClock makes a clock that goes right. It is kept in a file of that name, which must not exist.
func NewClock(path string) (*Clock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	c := &Clock{f}
	return c, c.Set(0)
}

// Env is the entry of the environment that gives the clock to a program of [Build]; others take no notice of it.
func (c *Clock) Env() string { return variable + "=" + c.file.Name() }

// Set has the clock show a time that is so far ahead of the machine's, in whole seconds, or behind it.
func (c *Clock) Set(ahead time.Duration) error {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], uint64(int64(ahead/time.Second)))
	_, err := c.file.WriteAt(b[:], 0)
	return err
}

// Close closes the file. The program keeps the clock as it is.
func (c *Clock) Close() error { return c.file.Close() }

// Build builds the programs of packages, as `go build` calls them, into a directory that exists. Nearly everything is compiled
// anew the first time, and then taken from the build cache.
func Build(dir string, packages ...string) error {
	overlay, err := overlay(dir)
	if err != nil {
		return fmt.Errorf("a clock that can be set: %w", err)
	}
	c := exec.Command("go", append([]string{"build", "-overlay", overlay, "-o", dir + "/"}, packages...)...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, out)
	}
	return nil
}

var errOtherTime = errors.New("time.Now is written in another way in this version of Go: see nowBegins")

// overlay writes the files that replace others in a build, and the list of them (`go help build`, -overlay).
func overlay(dir string) (list string, err error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	was, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		return "", err
	}
	if bytes.Count(was, []byte(nowBegins)) != 1 {
		return "", fmt.Errorf("%s: %w", filepath.Join(source, "time.go"), errOtherTime)
	}
	replace := map[string]string{}
	for name, text := range map[string][]byte{"time.go": bytes.Replace(was, []byte(nowBegins), []byte(skewedNow), 1), "skew.go": []byte(skewSource)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(source, name)] = path
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list = filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, text, 0o600)
}
