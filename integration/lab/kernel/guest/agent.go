package guest

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"syscall"
	"time"
)

// detachGrace is how long a program's outputs are still read after it has ended:
// a daemon that it left behind may hold them open for ever.
const detachGrace = 300 * time.Millisecond

// Serve answers requests on a listener until it is closed.
func Serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("guest: %w", err)
		}
		go serve(conn)
	}
}

func serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	out := &chunkWriter{to: conn}
	line, err := in.ReadBytes('\n')
	if err != nil {
		return
	}
	var request Request
	if err := json.Unmarshal(line, &request); err != nil || len(request.Args) == 0 {
		_ = out.write(chunkFailed, []byte("not a request"))
		return
	}
	code, err := execute(request, in, out)
	if err != nil {
		_ = out.write(chunkFailed, []byte(err.Error()))
		return
	}
	_ = out.write(chunkExit, binary.BigEndian.AppendUint32(nil, uint32(code)))
}

// execute runs a program to its end and returns its exit status: 128 and the
// signal's number, as a shell has it, for one that a signal ended.
func execute(request Request, in io.Reader, out *chunkWriter) (int, error) {
	args := request.Args
	if request.Namespace != "" {
		args = append([]string{"ip", "netns", "exec", request.Namespace}, args...)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = detachGrace
	cmd.Stdout, cmd.Stderr = stream{out, chunkStdout}, stream{out, chunkStderr}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	// Ends with the connection, which the caller closes.
	go obey(in, stdin, cmd, cancel)
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return 0, err
	}
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// obey takes the client's chunks until the connection breaks.
func obey(in io.Reader, stdin io.WriteCloser, cmd *exec.Cmd, broken func()) {
	defer broken()
	defer func() { _ = stdin.Close() }()
	for {
		c, err := readChunk(in)
		if err != nil {
			return
		}
		switch {
		case c.kind == chunkStdin:
			// A program that has closed its input does not stop the client.
			_, _ = stdin.Write(c.data)
		case c.kind == chunkEOF:
			_ = stdin.Close()
		case c.kind == chunkSignal && len(c.data) == 1:
			_ = cmd.Process.Signal(syscall.Signal(c.data[0]))
		}
	}
}
