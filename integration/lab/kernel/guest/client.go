package guest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// connectTimeout bounds the wait for a guest's agent to take a connection.
const connectTimeout = 10 * time.Second

// Execute runs a program in the guest whose agent is at an address, with this
// process's standard streams and with its SIGINT, SIGTERM and SIGHUP passed on,
// and returns its exit status.
func Execute(address string, request Request) (int, error) {
	conn, err := net.DialTimeout("tcp", address, connectTimeout)
	if err != nil {
		return 0, fmt.Errorf("guest: %w", err)
	}
	defer func() { _ = conn.Close() }()
	line, err := json.Marshal(request)
	if err != nil {
		return 0, fmt.Errorf("guest: %w", err)
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return 0, fmt.Errorf("guest: %w", err)
	}
	out := &chunkWriter{to: conn}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range signals {
			if number, ok := s.(syscall.Signal); ok {
				_ = out.write(chunkSignal, []byte{byte(number)})
			}
		}
	}()
	go func() {
		_, _ = io.Copy(stream{out, chunkStdin}, os.Stdin)
		_ = out.write(chunkEOF, nil)
	}()
	return relay(conn, os.Stdout, os.Stderr)
}

// relay copies the program's outputs until it has ended.
func relay(conn io.Reader, stdout, stderr io.Writer) (int, error) {
	for {
		c, err := readChunk(conn)
		if err != nil {
			return 0, fmt.Errorf("guest: the agent is gone: %w", err)
		}
		switch c.kind {
		case chunkStdout:
			_, err = stdout.Write(c.data)
		case chunkStderr:
			_, err = stderr.Write(c.data)
		case chunkFailed:
			return 0, errors.New(string(c.data))
		case chunkExit:
			if len(c.data) != 4 {
				return 0, errors.New("guest: no exit status")
			}
			return int(binary.BigEndian.Uint32(c.data)), nil
		}
		if err != nil {
			return 0, fmt.Errorf("guest: %w", err)
		}
	}
}
