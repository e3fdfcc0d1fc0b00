package lab

import (
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Lateness is what becomes of the packets to a node.
type Lateness struct {
	// Least and Most bound how long each waits; they are spread evenly.
	Least, Most time.Duration
	// Lost is the share, 0 to 1, that is dropped.
	Lost float64
	// Overtaking lets a packet that waits less pass those that wait longer.
	Overtaking bool
}

// LateNode holds up the packets to a node until the function that it returns is called, which may be called twice. It needs
// nothing of the kernel but tap devices: every frame between the node and its segment passes through this process, which
// delivers those from the node at once. Packets between two late nodes are late both ways.
func (l *Lab) LateNode(ctx context.Context, n *Node, late Lateness) (end func() error, err error) {
	l.mu.Lock()
	l.nextPort++
	tap := fmt.Sprintf("late%d", l.nextPort)
	l.mu.Unlock()
	var segment, port *os.File
	err = l.fabric.Do(func() error {
		if segment, err = openTap(tap); err != nil {
			return fmt.Errorf("tap %s: %w", tap, err)
		}
		port, err = openPort(n.port)
		return err
	})
	r := &relay{toNode: newHolding(port, late), fromNode: newHolding(segment, Lateness{}), segment: segment, port: port}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: %w", err), r.close())
	}
	r.work.Go(func() { r.toNode.take(segment) })
	r.work.Go(func() { r.fromNode.take(port) })
	r.work.Go(r.toNode.deliver)
	r.work.Go(r.fromNode.deliver)
	back := sync.OnceValue(func() error {
		err := l.ipBatch(context.WithoutCancel(ctx), l.fabric, fmt.Sprintf("link set %s promisc off master %s", n.port, underlay))
		return errors.Join(err, r.close())
	})
	err = l.ipBatch(ctx, l.fabric, fmt.Sprintf("link set %s nomaster promisc on", n.port), fmt.Sprintf("link set %s mtu %d master %s up", tap, l.mtu, underlay))
	if err != nil {
		return nil, errors.Join(err, back())
	}
	return back, nil
}

// openTap makes a tap device that lives as long as the file (Documentation/networking/tuntap.rst). It is to be read whole frame
// by whole frame.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openPort opens a link for all frames that come in by it, and for sending (packet(7)).
func openPort(link string) (*os.File, error) {
	card, err := net.InterfaceByName(link)
	if err != nil {
		return nil, err
	}
	// Of no protocol until it is bound: it would get the frames of all links before.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: card.Index}))
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), link), nil
}

// relay stands between a node's port and its segment.
type relay struct {
	toNode, fromNode *holding
	segment, port    *os.File
	work             sync.WaitGroup
}

func (r *relay) close() error {
	var errs []error
	for _, f := range []*os.File{r.segment, r.port} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	r.toNode.end()
	r.fromNode.end()
	r.work.Wait()
	return errors.Join(errs...)
}

// held is a frame that waits; order settles who goes first of those that are due at once.
type held struct {
	due   time.Time
	order uint64
	frame []byte
}

// heldFrames is a heap of them (container/heap).
type heldFrames []held

func (h heldFrames) Len() int { return len(h) }
func (h heldFrames) Less(i, k int) bool {
	return h[i].due.Before(h[k].due) || h[i].due.Equal(h[k].due) && h[i].order < h[k].order
}
func (h heldFrames) Swap(i, k int) { h[i], h[k] = h[k], h[i] }

// Push implements heap.Interface.
func (h *heldFrames) Push(x any) { *h = append(*h, x.(held)) }

// Pop implements heap.Interface.
func (h *heldFrames) Pop() any {
	last := len(*h) - 1
	out := (*h)[last]
	*h = (*h)[:last]
	return out
}

// maxHeld is how many frames one direction holds; more are dropped, as by a full queue.
const maxHeld = 10_000

// holding is one direction.
type holding struct {
	late  Lateness
	to    *os.File
	wake  chan struct{}
	ended chan struct{}

	mu     sync.Mutex
	frames heldFrames
	order  uint64
	last   time.Time // when the last one is due
}

func newHolding(to *os.File, late Lateness) *holding {
	return &holding{late: late, to: to, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

func (h *holding) end() { close(h.ended) }

// take takes frames from a file until that is closed.
func (h *holding) take(from *os.File) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		switch {
		case errors.Is(err, unix.ENETDOWN): // told once of a link that went down
		case err != nil:
			return
		default:
			h.hold(slices.Clone(buffer[:n]), time.Now())
		}
	}
}

func (h *holding) hold(frame []byte, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rand.Float64() < h.late.Lost || len(h.frames) >= maxHeld {
		return
	}
	due := now.Add(h.late.Least)
	if spread := h.late.Most - h.late.Least; spread > 0 {
		due = due.Add(rand.N(spread))
	}
	if due.Before(h.last) && !h.late.Overtaking {
		due = h.last
	}
	h.order++
	h.last = due
	heap.Push(&h.frames, held{due, h.order, frame})
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// deliver sends what is due, until the end. What cannot be sent is lost, as on any wire.
func (h *holding) deliver() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		frames, wait := h.due(time.Now())
		for _, f := range frames {
			_, _ = h.to.Write(f)
		}
		timer.Reset(wait)
		select {
		case <-h.ended:
			return
		case <-h.wake:
		case <-timer.C:
		}
	}
}

// due takes out what is due, and says when to look again.
func (h *holding) due(now time.Time) (frames [][]byte, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.frames) > 0 {
		if left := h.frames[0].due.Sub(now); left > 0 {
			return frames, left
		}
		frames = append(frames, heap.Pop(&h.frames).(held).frame)
	}
	return frames, time.Hour
}
