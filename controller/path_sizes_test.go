package controller

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// pathLab is an underlay made up: probes of more than a size get lost on some paths, and a share of the others, by chance.
type pathLab struct {
	*paths

	mu sync.Mutex
	// narrow is what a path takes, by the host at its far end; 0 for all.
	narrow map[string]int
	// loss is the share of probes that get lost whatever their size; seed makes it other ones.
	loss   float64
	seed   uint64
	dice   map[string]*rand.Rand // by path, for probes with a size and others by themselves: in these orders they are sent
	small  map[string]int        // small probes, by the far end of their path
	sized  map[string]int        // those with a size that are on their way
	most   int                   // of them ever, on all paths together
	double bool                  // a path had two of them, one way, at once
}

func newPathLab() *pathLab {
	lab := &pathLab{paths: newPaths(nil), narrow: map[string]int{}, small: map[string]int{}, sized: map[string]int{}, dice: map[string]*rand.Rand{}}
	lab.probe = lab.send
	return lab
}

// send is a probe: one that is lost takes as long as its sender waits.
func (lab *pathLab) send(ctx context.Context, from, to linkEnd, size int) error {
	path := max(from.host, to.host)
	lab.mu.Lock()
	narrow := lab.narrow[path]
	if size == probeHead {
		lab.small[path]++
		lost := lab.unlucky(path + ", small")
		lab.mu.Unlock()
		if !lost {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
		case <-time.After(probeWait):
		}
		return errProbeLost
	}
	lost := lab.unlucky(path)
	lab.sized[path]++
	lab.double = lab.double || lab.sized[path] > 1
	on := 0
	for _, n := range lab.sized {
		on += n
	}
	lab.most = max(lab.most, on)
	lab.mu.Unlock()
	defer func() {
		lab.mu.Lock()
		defer lab.mu.Unlock()
		lab.sized[path]--
	}()
	if !lost && (narrow == 0 || size <= narrow) {
		return nil
	}
	<-ctx.Done()
	return errProbeLost
}

// unlucky tells whether the next probe of a kind is lost by chance. It needs mu.
func (lab *pathLab) unlucky(kind string) bool {
	if lab.dice[kind] == nil {
		sum := fnv.New64a()
		sum.Write([]byte(kind))
		lab.dice[kind] = rand.New(rand.NewPCG(lab.seed, sum.Sum64()))
	}
	return lab.dice[kind].Float64() < lab.loss
}

// underlay says that every path should take 1500 bytes, and that nothing is added to a probe.
func underlay(tunnelEnds) pathSizes {
	return pathSizes{expected: 1500, inner: func(mtu int) int { return mtu }}
}

// pathTo is a tunnel from host "a" that came up at a time.
func pathTo(host string, up time.Time) tunnelEnds {
	return tunnelEnds{link{pair: pair{"a", host}}, [2]linkEnd{
		{host: "a", peer: host, ofport: 1, since: up}, {host: host, peer: "a", ofport: 2, since: up},
	}}
}

// TestASearchHoldsUpNobody: while the size of one path is searched for, probe by probe that gets lost, loss goes on being counted on
// it and on all others, and the others' sizes are found.
func TestASearchHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lab := newPathLab()
		lab.narrow["b"] = 1300
		up := []tunnelEnds{pathTo("b", time.Time{}), pathTo("c", time.Time{})}
		for round := 1; round <= 4; round++ {
			began := time.Now()
			lab.round(t.Context(), up, underlay)
			if took := time.Since(began); took != 0 {
				t.Fatalf("round %d waited %v", round, took)
			}
			synctest.Wait()
			if got := lab.of(up[1].link); got.sent != round || got.passed != 1500 {
				t.Fatalf("round %d: path to c: %d probes, %d bytes", round, got.sent, got.passed)
			}
			if got := lab.of(up[0].link); got.sent != round || got.lost != 0 || got.expected != 0 {
				t.Fatalf("round %d: path to b: %d probes, %d lost, expected %d", round, got.sent, got.lost, got.expected)
			}
			<-time.After(pathsTick)
		}
		// The next turn comes before a search has ended that sends twelve sizes, most of them three times; there is one at a time.
		for range 2 * mtuEvery {
			lab.round(t.Context(), up, underlay)
		}
		lab.working.Wait()
		if got := lab.of(up[0].link); got.expected != 1500 || got.passed > 1300 || got.passed < 1300-sizeStep {
			t.Errorf("path to b: %d of %d bytes", got.passed, got.expected)
		}
		if lab.double {
			t.Error("two searches on one path")
		}
	})
}

// TestSearchesAreBounded: so many at a time, and those that found no room come later.
func TestSearchesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lab := newPathLab()
		var up []tunnelEnds
		for i := range maxSearches + 20 {
			host := fmt.Sprintf("host%03d", i)
			lab.narrow[host] = 1000
			up = append(up, pathTo(host, time.Time{}))
		}
		for range 40 {
			lab.round(t.Context(), up, underlay)
			<-time.After(pathsTick)
		}
		lab.working.Wait()
		for _, p := range up {
			if got := lab.of(p.link); got.passed > 1000 || got.passed < 1000-sizeStep {
				t.Errorf("path to %s: %d bytes", p.b, got.passed)
			}
		}
		if lab.most != maxSearches {
			t.Errorf("%d at a time", lab.most)
		}
	})
}

// TestASearchEndsWithItsPath: one whose tunnel is down, or has been down since it began, is called off, and says nothing of
// the tunnel that follows; so is one whose leader ends.
func TestASearchEndsWithItsPath(t *testing.T) {
	t.Parallel()
	for name, after := range map[string][]tunnelEnds{
		"down": nil, "down and up again": {pathTo("b", time.Unix(1, 0))}, "another port": {{pathTo("b", time.Time{}).link, [2]linkEnd{{host: "a", ofport: 7}, {host: "b", ofport: 2}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lab := newPathLab()
				lab.narrow["b"] = 1300
				before := pathTo("b", time.Time{})
				lab.round(t.Context(), []tunnelEnds{before}, underlay)
				began := time.Now()
				lab.forget(after)
				lab.working.Wait()
				if took := time.Since(began); took != 0 {
					t.Errorf("it went on for %v", took)
				}
				if got := lab.of(before.link); got.expected != 0 {
					t.Errorf("it said %d of %d bytes", got.passed, got.expected)
				}
				if len(lab.searches) != 0 {
					t.Errorf("%d searches left", len(lab.searches))
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		lab := newPathLab()
		lab.narrow["b"] = 1300
		ctx, cancel := context.WithCancel(t.Context())
		lab.round(ctx, []tunnelEnds{pathTo("b", time.Time{})}, underlay)
		began := time.Now()
		cancel()
		lab.working.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("it went on for %v after its leader", took)
		}
	})
}

// TestLossIsNoSize: where one probe in ten gets lost, loss is reported, and never a size that is too small; a path that is narrow
// all the same is found to be, at its size.
func TestLossIsNoSize(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lab := newPathLab()
				lab.loss, lab.seed, lab.narrow["narrow"] = 0.1, seed, 1300
				up := []tunnelEnds{pathTo("narrow", time.Time{})}
				for i := range 20 {
					up = append(up, pathTo(fmt.Sprintf("host%02d", i), time.Time{}))
				}
				for range 6 * mtuEvery {
					lab.round(t.Context(), up, underlay)
					<-time.After(pathsTick)
					for _, p := range up[1:] {
						if h := lab.of(p.link); h.passed < h.expected {
							t.Errorf("path to %s: %d of %d bytes", p.b, h.passed, h.expected)
						}
					}
				}
				lab.working.Wait()
				for i, p := range up {
					h := lab.of(p.link)
					heard := &poolwirev1.Tunnel{A: &poolwirev1.TunnelEnd{BfdState: "up"}, B: &poolwirev1.TunnelEnd{BfdState: "up"}}
					_, reason := tunnelState(heard, h)
					narrow := strings.HasPrefix(reason, "the path takes")
					if h.expected != 1500 || narrow != (i == 0) || i == 0 && (h.passed > 1300 || h.passed < 1300-sizeStep) {
						t.Errorf("path to %s: %d of %d bytes: %q", p.b, h.passed, h.expected, reason)
					}
				}
			})
		})
	}
}
