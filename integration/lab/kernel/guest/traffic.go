package guest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Ready is the line by which a server or sender says that it serves.
const Ready = "ready"

// EchoServer serves TCP on a port and sends back what it gets.
func EchoServer(port uint16) error {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	fmt.Println(Ready)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("guest: %w", err)
		}
		go func() {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}()
	}
}

// EchoOnce connects to an echo server and has a few bytes sent back.
func EchoOnce(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	defer func() { _ = conn.Close() }()
	return echo(conn)
}

// EchoLines connects to an echo server, says that it is ready, and then answers
// each line of standard input with "ok" once a few bytes have come back.
func EchoLines(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Println(Ready)
	var one [1]byte
	for {
		if _, err := os.Stdin.Read(one[:]); err != nil {
			return nil
		}
		if one[0] != '\n' {
			continue
		}
		if err := echo(conn); err != nil {
			return err
		}
		fmt.Println("ok")
	}
}

func echo(conn net.Conn) error {
	sent := []byte("echo")
	if _, err := conn.Write(sent); err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil {
		return fmt.Errorf("guest: no echo: %w", err)
	}
	if !bytes.Equal(sent, got) {
		return fmt.Errorf("guest: echo of %q is %q", sent, got)
	}
	return nil
}

// Inject puts whole Ethernet frames on a link: standard input is a row of them,
// each behind its length in two bytes, most significant first.
func Inject(link string) error {
	card, err := net.InterfaceByName(link)
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // 0: receives nothing
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: card.Index}); err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	fmt.Println(Ready)
	for {
		var length [2]byte
		if _, err := io.ReadFull(os.Stdin, length[:]); err != nil {
			return nil
		}
		frame := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(os.Stdin, frame); err != nil {
			return fmt.Errorf("guest: half a frame: %w", err)
		}
		_, err := unix.Write(fd, frame)
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.ENETDOWN) {
			return fmt.Errorf("guest: %w", err)
		}
	}
}

// AwaitUptime waits until the kernel has been up for a while.
func AwaitUptime(least time.Duration) error {
	for {
		text, err := os.ReadFile("/proc/uptime")
		if err != nil {
			return fmt.Errorf("guest: %w", err)
		}
		first, _, _ := strings.Cut(string(text), " ")
		seconds, err := strconv.ParseFloat(first, 64)
		if err != nil {
			return fmt.Errorf("guest: uptime: %w", err)
		}
		left := least - time.Duration(seconds*float64(time.Second))
		if left <= 0 {
			return nil
		}
		time.Sleep(left)
	}
}
