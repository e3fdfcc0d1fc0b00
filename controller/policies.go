package controller

import (
	"sync"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// policies counts what binds VIFs: locks and rules. While there is none, a port
// that nobody has classified yet passes on an ordinary network, as it would
// without a controller. From the first one on it passes nothing until it has
// been classified, because it might be the very VIF that is bound.
type policies struct {
	mu    sync.Mutex
	count int
}

func newPolicies(v *raftstore.View) *policies {
	p := &policies{count: len(v.Rules())}
	for _, vif := range v.Vifs() {
		if binds(vif) {
			p.count++
		}
	}
	return p
}

// none reports whether nothing binds any VIF.
func (p *policies) none() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count == 0
}

// change follows one change and reports whether none answers differently now.
func (p *policies) change(c raftstore.Change) (flipped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.count == 0
	switch c.Table {
	case raftstore.TableRules:
		p.count += presence(c.After != nil) - presence(c.Before != nil)
	case raftstore.TableVifs:
		was, _ := c.Before.(*poolwirev1.Vif)
		is, _ := c.After.(*poolwirev1.Vif)
		p.count += presence(binds(is)) - presence(binds(was))
	}
	return before != (p.count == 0)
}

func binds(v *poolwirev1.Vif) bool {
	m := v.GetLockingMode()
	return m == poolwirev1.LockingMode_LOCKING_MODE_LOCKED || m == poolwirev1.LockingMode_LOCKING_MODE_DISABLED
}

func presence(there bool) int {
	if there {
		return 1
	}
	return 0
}
