package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// pingInterval is the time between two echo requests where none is asked for.
const pingInterval = 10 * time.Millisecond

// Ping sends echo requests until one is answered: nil, or an error when ctx ends
// before.
func (n *Namespace) Ping(ctx context.Context, to netip.Addr) error {
	deadline := time.Minute
	if at, ok := ctx.Deadline(); ok {
		deadline = time.Until(at)
	}
	_, err := n.Run(ctx, "ping", "-n", "-c", "1", "-i", "0.05", "-w", strconv.Itoa(int(deadline.Seconds())+1), to.String())
	if err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "Destination Host Unreachable") {
		return n.Ping(ctx, to) // ping counts what ARP has given up as an answer (ping(8), -c with -w)
	}
	if err != nil {
		return fmt.Errorf("lab: %s cannot ping %s: %w", n.Name, to, err)
	}
	return nil
}

// PingOptions describe a run of echo requests.
type PingOptions struct {
	// Count is how many are sent; 0 means 1, or no end for [Namespace.StartPing].
	Count int
	// Interval is the time between two, from 2 ms; 0 means 10 ms.
	Interval time.Duration
	// Wait is how long the last one's answer is waited for; 0 means 200 ms.
	Wait time.Duration
	// Size is the number of bytes behind the ICMP header; 0 means 56.
	Size int
	// DontFragment forbids fragmentation on the way and at the source.
	DontFragment bool
}

// PingResult is what became of a run of echo requests.
type PingResult struct {
	Sent, Received int
	// LongestGap is the longest run of requests in a row without an answer.
	LongestGap int
	// Interval is the time between two requests: LongestGap times Interval is about
	// how long the way was interrupted.
	Interval time.Duration
	// Text is what ping wrote.
	Text string
}

// Lost is the number of requests without an answer.
func (r PingResult) Lost() int { return r.Sent - r.Received }

// Outage is about how long the way was interrupted.
func (r PingResult) Outage() time.Duration { return time.Duration(r.LongestGap) * r.Interval }

func (o PingOptions) args(to netip.Addr) []string {
	args := []string{"ping", "-n", "-i", fmt.Sprintf("%.3f", o.Interval.Seconds())}
	if o.Count > 0 {
		args = append(args, "-c", strconv.Itoa(o.Count))
	}
	args = append(args, "-W", fmt.Sprintf("%.3f", o.Wait.Seconds()))
	if o.Size > 0 {
		args = append(args, "-s", strconv.Itoa(o.Size))
	}
	if o.DontFragment {
		args = append(args, "-M", "do")
	}
	return append(args, to.String())
}

func (o PingOptions) defaults() PingOptions {
	if o.Interval == 0 {
		o.Interval = pingInterval
	}
	if o.Wait == 0 {
		o.Wait = 200 * time.Millisecond
	}
	return o
}

// PingCount sends a number of echo requests and counts the answers. Getting none
// is no error.
func (n *Namespace) PingCount(ctx context.Context, to netip.Addr, opts PingOptions) (PingResult, error) {
	opts = opts.defaults()
	opts.Count = max(opts.Count, 1)
	text, err := n.Run(ctx, opts.args(to)...)
	var failed *CommandError
	if errors.As(err, &failed) && ctx.Err() == nil && strings.Contains(text, "packets transmitted") {
		err = nil
	}
	if err != nil {
		return PingResult{}, fmt.Errorf("lab: %w", err)
	}
	log := newPingLog()
	for line := range strings.Lines(text) {
		log.line(line)
	}
	result := log.result(opts.Interval)
	result.Sent = opts.Count
	result.LongestGap = log.longestGap(opts.Count)
	return result, nil
}

// RunningPing is a ping that runs beside what the test does.
type RunningPing struct {
	process  *Process
	interval time.Duration
	read     chan struct{} // closed when all output has been read
	answered chan struct{} // closed at the first answer

	mu  sync.Mutex
	log *pingLog
}

// StartPing sends echo requests without end, and returns when the first has been
// answered.
func (n *Namespace) StartPing(ctx context.Context, to netip.Addr, opts PingOptions) (*RunningPing, error) {
	opts = opts.defaults()
	stdout, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	r := &RunningPing{interval: opts.Interval, log: newPingLog(), read: make(chan struct{}), answered: make(chan struct{})}
	r.process, err = n.Start(ProcessOptions{Name: "ping", Args: opts.args(to), Stdout: writer, Stderr: writer})
	if err = errors.Join(err, writer.Close()); err != nil {
		return nil, errors.Join(err, stdout.Close())
	}
	go r.consume(stdout)
	select {
	case <-r.answered:
		return r, nil
	case <-r.read:
		err = errEnded
	case <-ctx.Done():
		err = ctx.Err()
	}
	r.process.Kill()
	<-r.read
	return nil, fmt.Errorf("lab: %s cannot ping %s: %w: %s", n.Name, to, err, r.log.text.String())
}

func (r *RunningPing) consume(stdout io.ReadCloser) {
	defer close(r.read)
	defer func() { _ = stdout.Close() }()
	lines := bufio.NewScanner(stdout)
	first := true
	for lines.Scan() {
		r.mu.Lock()
		answer := r.log.line(lines.Text() + "\n")
		r.mu.Unlock()
		if answer && first {
			first = false
			close(r.answered)
		}
	}
}

// Received is the number of answers so far.
func (r *RunningPing) Received() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.log.seen)
}

// WaitReceived waits until n more answers have come than when it was called.
func (r *RunningPing) WaitReceived(ctx context.Context, n int) error {
	want := r.Received() + n
	err := poll(ctx, func() (bool, error) { return r.Received() >= want, nil })
	if err != nil {
		return fmt.Errorf("lab: %d of %d answers to ping: %w", r.Received(), want, err)
	}
	return nil
}

// Stop ends the ping and tells what became of it. Only the very last request may
// be unanswered without being counted: its answer may have been on the way.
func (r *RunningPing) Stop(ctx context.Context) (PingResult, error) {
	if err := r.process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return PingResult{}, fmt.Errorf("lab: stop ping: %w", err)
	}
	select {
	case <-r.read:
	case <-ctx.Done():
		r.process.Kill()
		return PingResult{}, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log.sent == 0 {
		return PingResult{}, fmt.Errorf("lab: ping did not end well: %s", r.log.text.String())
	}
	return r.log.result(r.interval), nil
}

// pingLog makes sense of ping's output lines.
type pingLog struct {
	text strings.Builder
	seen map[int]struct{} // answered sequence numbers, from 1, past ping's 16 bits
	wrap int              // what is to be added to the 16 bits
	last int
	sent int // as ping's last lines say
}

func newPingLog() *pingLog { return &pingLog{seen: map[int]struct{}{}} }

var pingSummary = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

// answered returns the sequence number of a line that tells of an answer, such as
// "64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.2 ms".
func answered(text string) (seq int, ok bool) {
	if !strings.Contains(text, "bytes from") || !strings.Contains(text, "time=") || strings.Contains(text, "DUP!") {
		return 0, false
	}
	_, rest, _ := strings.Cut(text, "icmp_seq=")
	digits, _, _ := strings.Cut(rest, " ")
	seq, err := strconv.Atoi(digits)
	return seq, err == nil
}

// line takes one line of output and reports whether it is an answer.
func (l *pingLog) line(text string) bool {
	const keep = 1 << 16
	if l.text.Len() < keep {
		l.text.WriteString(text)
	}
	if strings.Contains(text, "packets transmitted") {
		l.text.WriteString(text)
		if m := pingSummary.FindStringSubmatch(text); m != nil {
			l.sent, _ = strconv.Atoi(m[1])
		}
		return false
	}
	seq, ok := answered(text)
	if !ok {
		return false
	}
	const half = 1 << 15
	switch seq += l.wrap; {
	case seq < l.last-half:
		l.wrap += 2 * half
		seq += 2 * half
	case seq > l.last+half && l.wrap > 0:
		seq -= 2 * half
	}
	l.last = max(l.last, seq)
	l.seen[seq] = struct{}{}
	return true
}

// result judges a run that was interrupted.
func (l *pingLog) result(interval time.Duration) PingResult {
	sent := l.sent
	if _, ok := l.seen[sent]; !ok && sent > 0 {
		sent--
	}
	return PingResult{Sent: sent, Received: len(l.seen), LongestGap: l.longestGap(sent), Interval: interval, Text: l.text.String()}
}

// longestGap is the longest run of unanswered numbers from 1 to sent.
func (l *pingLog) longestGap(sent int) int {
	longest, gap := 0, 0
	for seq := 1; seq <= sent; seq++ {
		gap++
		if _, ok := l.seen[seq]; ok {
			gap = 0
		}
		longest = max(longest, gap)
	}
	return longest
}
