package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"poolwire/integration/lab/frame"
)

// CaptureOptions describe a capture.
type CaptureOptions struct {
	// Interface is the link's name in the namespace.
	Interface string
	// Filter is a pcap-filter(7) expression; empty means everything.
	Filter string
	// Inbound leaves out what the namespace itself sends.
	Inbound bool
}

// Packet is a captured frame.
type Packet struct {
	frame.Packet
	Time  time.Time
	Bytes []byte // the whole frame
}

// ErrNotSeen is returned, joined with the context's error, when a frame that was
// waited for did not come.
var ErrNotSeen = errors.New("lab: no such frame was captured")

// maxPackets bounds what a capture holds; later frames are only counted.
const maxPackets = 200_000

// Capture is a running tcpdump. Its methods may be called from any goroutine.
type Capture struct {
	process *Process
	where   string

	mu      sync.Mutex
	packets []Packet
	dropped int
	more    chan struct{} // closed and replaced when packets grows or the capture ends
	ended   bool
	err     error
}

// Capture starts tcpdump on a link and returns when it sees every frame that
// passes from then on.
func (n *Namespace) Capture(ctx context.Context, opts CaptureOptions) (*Capture, error) {
	stdout, stdoutWriter, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	stderr, stderrWriter, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: %w", err), stdout.Close(), stdoutWriter.Close())
	}
	args := []string{"tcpdump", "-i", opts.Interface, "-n", "-s", "0", "-U", "--immediate-mode", "-Z", "root", "-w", "-"}
	if opts.Inbound {
		args = append(args, "-Q", "in")
	}
	if opts.Filter != "" {
		args = append(args, opts.Filter)
	}
	c := &Capture{where: n.Name + " " + opts.Interface, more: make(chan struct{})}
	c.process, err = n.Start(ProcessOptions{Name: "tcpdump", Args: args, Stdout: stdoutWriter, Stderr: stderrWriter})
	err = errors.Join(err, stdoutWriter.Close(), stderrWriter.Close())
	if err != nil {
		return nil, errors.Join(err, stdout.Close(), stderr.Close())
	}
	go c.read(stdout)
	if err := awaitListening(ctx, stderr); err != nil {
		c.process.Kill()
		return nil, fmt.Errorf("lab: capture on %s: %w", c.where, err)
	}
	return c, nil
}

// awaitListening waits for the line by which tcpdump says that its socket is open
// and its filter set, and leaves a goroutine to drain the rest.
func awaitListening(ctx context.Context, stderr *os.File) error {
	result := make(chan error, 1)
	go func() {
		defer func() { _ = stderr.Close() }()
		lines := bufio.NewScanner(stderr)
		var said []string
		for lines.Scan() {
			if strings.Contains(lines.Text(), "listening on") {
				result <- nil
				_, _ = io.Copy(io.Discard, stderr)
				return
			}
			said = append(said, lines.Text())
		}
		result <- fmt.Errorf("tcpdump ended: %s", strings.Join(said, "; "))
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read takes tcpdump's output apart: a pcap file (pcap-savefile(5)) in the
// machine's own byte order.
func (c *Capture) read(stdout *os.File) {
	defer func() { _ = stdout.Close() }()
	in := bufio.NewReader(stdout)
	var fileHeader [24]byte
	_, err := io.ReadFull(in, fileHeader[:])
	for err == nil {
		var p Packet
		if p, err = readPacket(in); err == nil {
			c.add(p)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		c.err = err
	}
	close(c.more)
}

func readPacket(in *bufio.Reader) (Packet, error) {
	var header [16]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return Packet{}, err
	}
	seconds, micros := binary.NativeEndian.Uint32(header[0:]), binary.NativeEndian.Uint32(header[4:])
	length := binary.NativeEndian.Uint32(header[8:])
	const longest = 1 << 18 // tcpdump's own bound
	if length > longest {
		return Packet{}, fmt.Errorf("lab: captured frame of %d bytes", length)
	}
	data := make([]byte, length)
	if _, err := io.ReadFull(in, data); err != nil {
		return Packet{}, err
	}
	return Packet{Packet: frame.Parse(data), Time: time.Unix(int64(seconds), int64(micros)*1000), Bytes: data}, nil
}

func (c *Capture) add(p Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.packets) >= maxPackets {
		c.dropped++
		return
	}
	c.packets = append(c.packets, p)
	close(c.more)
	c.more = make(chan struct{})
}

// Packets returns what was captured so far, oldest first.
func (c *Capture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.packets)
}

// Stop ends the capture and waits until all it has seen has been read. Frames
// that were more than it can hold are an error.
func (c *Capture) Stop(ctx context.Context) error {
	if err := c.process.Stop(ctx); err != nil {
		return err
	}
	for {
		c.mu.Lock()
		more, ended, dropped, err := c.more, c.ended, c.dropped, c.err
		c.mu.Unlock()
		if ended && dropped > 0 {
			return fmt.Errorf("lab: capture on %s: %d frames more than it holds", c.where, dropped)
		}
		if ended {
			return err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Text is what tcpdump -e -nn says of the captured frames, one line or more each,
// for people to read.
func (c *Capture) Text(ctx context.Context) (string, error) {
	var file bytes.Buffer
	// Magic number, version 2.4, then link type 1: Ethernet.
	for _, word := range []uint32{0xa1b2c3d4, 4<<16 | 2, 0, 0, 1 << 18, 1} {
		_ = binary.Write(&file, binary.LittleEndian, word)
	}
	for _, p := range c.Packets() {
		length := uint32(len(p.Bytes))
		head := []uint32{uint32(p.Time.Unix()), uint32(p.Time.Nanosecond() / 1000), length, length}
		_ = binary.Write(&file, binary.LittleEndian, head)
		file.Write(p.Bytes)
	}
	return run(ctx, command{args: []string{"tcpdump", "-e", "-nn", "-t", "-r", "-"}, stdin: file.String()})
}
