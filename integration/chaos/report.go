package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"poolwire/integration/quantile"
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
	undealt    []string // faults
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

// ownEnd notes a node that ended without being killed, which no fault is a reason for.
func (r *report) ownEnd(node, fault string) {
	r.violated("%s ended by itself, after: %s", node, fault)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ownEnds[node]++
}

// leftOut notes the faults that there was no time for.
func (r *report) leftOut(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.undealt = names
}

// leastRate is how many calls a second have to be answered for a run to prove anything.
const leastRate = 10

// void says why a run proves nothing: too little was done in it. It is empty for one that does.
func (r *report) void(took time.Duration) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := 0
	for _, kind := range []string{"create", "delete", "read", "swap", "write"} {
		done := r.calls[kind][codes.OK.String()]
		if done == 0 {
			return "no " + kind + " was answered"
		}
		all += done
	}
	if rate := float64(all) / took.Seconds(); rate < leastRate {
		return fmt.Sprintf("%.1f calls a second were answered; %d are the least", rate, leastRate)
	}
	return ""
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
		at := func(percent int) time.Duration { return quantile.Of(r.gaps, percent).Round(time.Millisecond) }
		fmt.Fprintf(&b, "no write after a leader was killed: n %d, p50 %v, p95 %v, max %v\n", n, at(50), at(95), at(100))
	}
	if len(r.undealt) > 0 {
		fmt.Fprintf(&b, "no time was left for: %s\n", strings.Join(r.undealt, ", "))
	}
	fmt.Fprintf(&b, "nodes that ended by themselves %v, watches that had to list again %d\n", r.ownEnds, r.relists)
	fmt.Fprintf(&b, "acknowledged and present %d, acknowledged and lost %d\n", r.present, r.lost)
	fmt.Fprintf(&b, "violations %d\n", len(r.violations))
	for _, v := range r.violations[:min(len(r.violations), maxShown)] {
		fmt.Fprintf(&b, "  %s\n", v)
	}
	return b.String()
}
