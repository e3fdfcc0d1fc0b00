package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/quantile"
)

// load is what writers got.
type load struct {
	rate     float64 // acknowledged writes per second
	p50, p99 time.Duration
	// cpu is the processor time that all nodes together spent on a write.
	cpu time.Duration
}

// String gives the columns of the table.
func (l load) String() string {
	return fmt.Sprintf("%.0f/s\t%s\t%s\t%s", l.rate, rounded(l.p50), rounded(l.p99), l.cpu.Round(time.Microsecond))
}

// middle is the load of the median rate.
func middle(of []load) load {
	slices.SortFunc(of, func(a, b load) int { return cmp.Compare(a.rate, b.rate) })
	return of[len(of)/2]
}

// drive has n writers write for a while, each one write after the other.
func drive(ctx context.Context, t target, n int, lasts time.Duration) (load, error) {
	type result struct {
		took []time.Duration
		err  error
	}
	before, err := cpuOf(t.running())
	if err != nil {
		return load{}, err
	}
	results := make(chan result, n)
	begin := time.Now()
	end := begin.Add(lasts)
	for w := range n {
		go func() {
			var r result
			for i := 0; r.err == nil && time.Now().Before(end); i++ {
				value := valueOf(w, i, begin)
				var took time.Duration
				took, r.err = timed(func() error { return t.write(ctx, w, value) })
				r.took = append(r.took, took)
			}
			results <- r
		}()
	}
	var all []time.Duration
	var first error
	for range n {
		r := <-results
		all = append(all, r.took...)
		first = cmp.Or(first, r.err)
	}
	if first != nil {
		return load{}, first
	}
	took := time.Since(begin)
	after, err := cpuOf(t.running())
	if err != nil {
		return load{}, err
	}
	return load{rate: float64(len(all)) / took.Seconds(), p50: quantile.Of(all, 50), p99: quantile.Of(all, 99), cpu: (after - before) / time.Duration(len(all))}, nil
}

// tick is the unit of processor time in /proc, whatever the kernel's own is (proc(5), USER_HZ).
const tick = time.Second / 100

// cpuOf is the processor time that processes have spent (proc(5), stat, fields 14 and 15).
func cpuOf(processes []*lab.Process) (time.Duration, error) {
	var sum time.Duration
	for _, p := range processes {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		if err != nil {
			return 0, err
		}
		// The second field is a name in parentheses, which may hold anything.
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		for _, at := range []int{14 - 3, 15 - 3} {
			n, err := strconv.ParseInt(fields[at], 10, 64)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(n) * tick
		}
	}
	return sum, nil
}

// valueOf is a text of valueSize bytes that is another one every time.
func valueOf(writer, i int, run time.Time) string {
	head := fmt.Sprintf("written by %d in round %d of %d ", writer, i, run.UnixNano())
	return head + strings.Repeat("x", valueSize-len(head))
}
