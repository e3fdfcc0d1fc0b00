package skew

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// teller tells, for each line it reads, the wall clock's seconds and the time since it began.
const teller = `package main

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

func main() {
	began := time.Now()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(time.Now().Unix(), int64(time.Since(began)))
	}
}
`

// A clock that is set moves what a program takes for the time of day, and nothing else.
func TestTheWallClockMoves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := filepath.Join(dir, "teller.go")
	if err := os.WriteFile(source, []byte(teller), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Build(dir, source); err != nil {
		t.Fatal(err)
	}
	clock, err := NewClock(filepath.Join(dir, "clock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = clock.Close() }()
	program := exec.Command(filepath.Join(dir, "teller"))
	program.Env = append(os.Environ(), clock.Env())
	in, err1 := program.StdinPipe()
	out, err2 := program.StdoutPipe()
	if err := errors.Join(err1, err2, program.Start()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(in.Close(), program.Wait()); err != nil {
			t.Error(err)
		}
	}()
	lines, began := bufio.NewReader(out), time.Now()
	for _, ahead := range []time.Duration{0, time.Hour, -26 * time.Hour, 0} {
		if err := clock.Set(ahead); err != nil {
			t.Fatal(err)
		}
		var seconds, passed int64
		if _, err := io.WriteString(in, "\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fscanln(lines, &seconds, &passed); err != nil {
			t.Fatal(err)
		}
		if off := time.Until(time.Unix(seconds, 0)) - ahead; off.Abs() > 30*time.Second {
			t.Errorf("%s ahead: off by %s", ahead, off)
		}
		if d := time.Duration(passed); d < 0 || d > time.Since(began) {
			t.Errorf("%s ahead: %s have passed since the program began", ahead, d)
		}
	}
}
