package controller

import "testing"

func TestMarksKeepTheOldestRevisionUntilSettled(t *testing.T) {
	t.Parallel()
	m := newMarks()
	m.add(markSet{revision: 9, vifs: setOf("a")})
	m.add(markSet{revision: 7, networks: setOf("n")})
	if got := m.oldest(); got != 7 {
		t.Fatalf("oldest queued: got %d, want 7", got)
	}
	taken := m.take()
	if len(taken.vifs) != 1 || len(taken.networks) != 1 {
		t.Fatalf("took %+v, want the vif and the network", taken)
	}
	m.add(markSet{revision: 12, vifs: setOf("b")})
	if got := m.oldest(); got != 7 {
		t.Fatalf("oldest in flight: got %d, want 7", got)
	}
	again := m.take()
	if len(again.vifs) != 2 || again.revision != 7 {
		t.Fatalf("work that was not settled must be offered again, got %+v", again)
	}
	m.settle()
	if got := m.oldest(); got != 0 || !m.empty() {
		t.Fatalf("settled: oldest %d, empty %v", got, m.empty())
	}
}

func TestMarksTakenSetIsNotSharedWithTheQueue(t *testing.T) {
	t.Parallel()
	m := newMarks()
	m.add(markSet{revision: 1, ports: setOf("vif1.0")})
	taken := m.take()
	taken.ports["vif9.9"] = struct{}{}
	if again := m.take(); len(again.ports) != 1 {
		t.Fatalf("a taken set aliases the one in flight: %v", again.ports)
	}
}

func TestMarksWithoutRevisionAreWorkButNotUnconfirmed(t *testing.T) {
	t.Parallel()
	m := newMarks()
	m.add(markSet{all: true})
	if m.oldest() != 0 {
		t.Fatalf("a repair must not hold up a revision, oldest %d", m.oldest())
	}
	if m.empty() {
		t.Fatal("a repair is work")
	}
	select {
	case <-m.C():
	default:
		t.Fatal("adding marks must wake the actor")
	}
}
