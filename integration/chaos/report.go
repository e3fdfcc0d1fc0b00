package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// report collects figures. Its methods may be called from any goroutine.
type report struct {
	mu         sync.Mutex
	calls      map[string]map[string]int // by kind and outcome
	faults     map[string]int
	changes    map[string]int // of the leader, by fault
	gaps       []time.Duration
	ownEnds    map[string]int
	relists    int
	violations []string
	lost       int
	present    int
}

func newReport() *report {
	return &report{calls: map[string]map[string]int{}, faults: map[string]int{}, changes: map[string]int{}, ownEnds: map[string]int{}}
}

func (r *report) called(kind, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls[kind] == nil {
		r.calls[kind] = map[string]int{}
	}
	r.calls[kind][outcome]++
}

func (r *report) fault(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[name]++
}

func (r *report) leaderChanged(fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes[fault]++
}

func (r *report) ownEnd(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ownEnds[node]++
}

func (r *report) relisted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.relists++
}

func (r *report) unavailable(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gaps = append(r.gaps, d)
}

func (r *report) violated(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

func (r *report) acknowledged(present, lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.present, r.lost = present, lost
}

// maxShown bounds the violations that are printed.
const maxShown = 20

// String is the figures as they are printed.
func (r *report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	total := 0
	for _, kind := range slices.Sorted(maps.Keys(r.calls)) {
		fmt.Fprintf(&b, "%-8s", kind)
		for _, outcome := range slices.Sorted(maps.Keys(r.calls[kind])) {
			fmt.Fprintf(&b, "  %s %d", outcome, r.calls[kind][outcome])
			total += r.calls[kind][outcome]
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "operations %d\n", total)
	for _, name := range slices.Sorted(maps.Keys(r.faults)) {
		fmt.Fprintf(&b, "fault    %s: %d, another leader after %d\n", name, r.faults[name], r.changes[name])
	}
	if n := len(r.gaps); n > 0 {
		slices.Sort(r.gaps)
		round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
		fmt.Fprintf(&b, "no write after a leader was killed: n %d, p50 %v, p95 %v, max %v\n",
			n, round(r.gaps[(n-1)/2]), round(r.gaps[(n*95+99)/100-1]), round(r.gaps[n-1]))
	}
	fmt.Fprintf(&b, "nodes that ended by themselves %v, watches that had to list again %d\n", r.ownEnds, r.relists)
	fmt.Fprintf(&b, "acknowledged and present %d, acknowledged and lost %d\n", r.present, r.lost)
	fmt.Fprintf(&b, "violations %d\n", len(r.violations))
	for _, v := range r.violations[:min(len(r.violations), maxShown)] {
		fmt.Fprintf(&b, "  %s\n", v)
	}
	return b.String()
}
