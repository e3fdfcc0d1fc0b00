package raftstore

import (
	"fmt"
	"io"
	"testing"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// large is a state with 1000 hosts in 20 pools and 50 VIFs on each host, every
// tenth of which has a rule.
func large(b *testing.B) *machine {
	b.Helper()
	m := newMachine(b)
	for p := range 20 {
		m.must(createPool(fmt.Sprint("p", p)))
	}
	for h := range 1000 {
		name := fmt.Sprint("h", h)
		m.must(createHost(name, fmt.Sprint("p", h%20)))
		o := &storev1.ObserveHost{HostUuid: name, Bridges: []*storev1.Bridge{{Name: "xenbr0", Mtu: 1500}}}
		for i := range 50 {
			o.Ports = append(o.Ports, vifPort(fmt.Sprintf("vif%d.0", i), "xenbr0", fmt.Sprintf("v%d-%d", h, i), fmt.Sprintf("02:00:00:%02x:%02x:%02x", h>>8, h&255, i)))
		}
		m.must(observe(o))
		for i := 0; i < 50; i += 10 {
			m.must(putRule(ssh(fmt.Sprintf("r%d-%d", h, i), func(r *poolwirev1.Rule) { r.VifUuid = fmt.Sprintf("v%d-%d", h, i) }), create))
		}
	}
	return m
}

func BenchmarkLarge(b *testing.B) {
	m := large(b)
	b.Run("View", func(b *testing.B) {
		for b.Loop() {
			m.view()
		}
	})
	b.Run("Vif", func(b *testing.B) {
		v := m.view()
		for i := 0; b.Loop(); i++ {
			v.Vif(fmt.Sprintf("v%d-7", i%1000))
		}
	})
	b.Run("PortsOfHost", func(b *testing.B) {
		v := m.view()
		for i := 0; b.Loop(); i++ {
			v.Ports(fmt.Sprint("h", i%1000))
		}
	})
	b.Run("AllVifs", func(b *testing.B) {
		v := m.view()
		for b.Loop() {
			if len(v.Vifs()) != 50_000 {
				b.Fatal("VIFs are missing")
			}
		}
	})
	b.Run("ApplyRule", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			r := ssh(fmt.Sprint("new", i), allow, func(r *poolwirev1.Rule) { r.Allow = i%2 == 0 })
			m.must(putRule(r, replaceOn(r, fmt.Sprintf("v%d-%d", i/2%1000, 7))))
		}
	})
	b.Run("Snapshot", func(b *testing.B) {
		for b.Loop() {
			if _, err := m.f.Snapshot(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Persist", func(b *testing.B) {
		for b.Loop() {
			if err := (&snapshot{view: m.view()}).write(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Restore", func(b *testing.B) {
		data := m.snapshot()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if err := newMachine(b).f.Restore(newReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func replaceOn(r *poolwirev1.Rule, vif string) storev1.PutMode {
	r.VifUuid = vif
	return replace
}

// BenchmarkApply measures acknowledged, durable writes of one node.
func BenchmarkApply(b *testing.B) {
	for _, clients := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := open(b, Config{NodeID: "n1", Dir: b.TempDir(), Bootstrap: true}, true)
			apply(b, s, createPool("p1"))
			benchmarkWrites(b, s, clients)
		})
	}
}

// BenchmarkApplyThreeNodes measures writes acknowledged by a majority of three
// nodes in one process, over loopback.
func BenchmarkApplyThreeNodes(b *testing.B) {
	for _, clients := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			nodes := trio(b, steady)
			apply(b, nodes[0].Store, createPool("p1"))
			benchmarkWrites(b, nodes[0].Store, clients)
		})
	}
}

func benchmarkWrites(b *testing.B, s *Store, clients int) {
	ctx := b.Context()
	b.SetParallelism((clients + 1) / 2) // times GOMAXPROCS, 2 on the reference machine
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Apply(ctx, putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: s.cfg.NewUUID()}, false)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}

// BenchmarkReadView measures linearizable reads of one node.
func BenchmarkReadView(b *testing.B) {
	s := open(b, Config{NodeID: "n1", Dir: b.TempDir(), Bootstrap: true}, true)
	ctx := b.Context()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.ReadView(ctx); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
