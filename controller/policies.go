package controller

import (
	"sync"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// policies counts what binds VIFs: locks, rules, isolation, limits and what networks
// drop by default. While there is none, a port
// that nobody has classified yet passes on an ordinary network, as it would
// without a controller. From the first one on it passes nothing until it has
// been classified, because it might be the very VIF that is bound.
type policies struct {
	mu    sync.Mutex
	count int
	// arp counts the rules that decide over ARP, nd those that decide over neighbour discovery.
	arp, nd int
}

// judged says what rules decide over. It is not answered for then: that would be a way around the rule.
type judged struct{ arp, nd bool }

func newPolicies(v *raftstore.View) *policies {
	p := &policies{count: len(v.Rules()) + len(v.PolicyRules())}
	for _, r := range v.Rules() {
		p.decide(r, 1)
	}
	for _, r := range v.PolicyRules() {
		p.decide(r, 1)
	}
	for _, vif := range v.Vifs() {
		p.count += presence(counts(vif))
	}
	for _, n := range v.Networks() {
		p.count += presence(guards(n))
	}
	for _, n := range v.PrivateNetworks() {
		p.count += presence(guards(n))
	}
	return p
}

// none reports whether nothing binds any VIF.
func (p *policies) none() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count == 0
}

// judge reports what any rule decides over.
func (p *policies) judge() judged {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.judged()
}

func (p *policies) judged() judged { return judged{arp: p.arp > 0, nd: p.nd > 0} }

// change follows one change and reports whether none or judge answers differently now.
func (p *policies) change(c raftstore.Change) (flipped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, was := p.count == 0, p.judged()
	switch c.Table {
	case raftstore.TableRules, raftstore.TablePolicyRules:
		p.count += presence(c.After != nil) - presence(c.Before != nil)
		p.decide(c.Before, -1)
		p.decide(c.After, 1)
	case raftstore.TableVifs:
		was, _ := c.Before.(*poolwirev1.Vif)
		is, _ := c.After.(*poolwirev1.Vif)
		p.count += presence(counts(is)) - presence(counts(was))
	case raftstore.TableNetworks:
		was, _ := c.Before.(*poolwirev1.Network)
		is, _ := c.After.(*poolwirev1.Network)
		p.count += presence(guards(is)) - presence(guards(was))
	case raftstore.TablePrivateNetworks:
		was, _ := c.Before.(*poolwirev1.PrivateNetwork)
		is, _ := c.After.(*poolwirev1.PrivateNetwork)
		p.count += presence(guards(is)) - presence(guards(was))
	}
	return before != (p.count == 0) || was != p.judged()
}

// decide counts a rule, or takes it back. What is no rule counts for nothing.
func (p *policies) decide(rule any, by int) {
	switch r := rule.(type) {
	case *poolwirev1.Rule:
		if r != nil {
			p.arp += by * presence(namesARP(r))
			p.nd += by * presence(deniesND(r))
		}
	case *poolwirev1.PolicyRule:
		if r != nil {
			p.arp += by * presence(policyNamesARP(r))
			p.nd += by * presence(policyNamesND(r))
		}
	}
}

// counts reports a VIF that a port which nobody has classified yet must not pass for: one that
// something holds back, or that is bound to hosts.
func counts(v *poolwirev1.Vif) bool { return restrains(v) || len(v.GetAllowedHosts()) > 0 }

// restrains reports a VIF that something holds back by itself.
func restrains(v *poolwirev1.Vif) bool {
	return binds(v) || isolation(v) != flowcompiler.Promiscuous || v.GetQos().GetInboundBps() != 0 || v.GetQos().GetOutboundBps() != 0
}

// guarding is what Network and PrivateNetwork share.
type guarding interface {
	GetDefaultLockingMode() poolwirev1.DefaultLockingMode
	GetDefaultInboundAction() poolwirev1.DefaultAction
	GetDefaultOutboundAction() poolwirev1.DefaultAction
	GetRaGuard() bool
	GetDhcpGuard() bool
}

// guards reports a network that holds its VIFs back.
func guards(n guarding) bool {
	return n.GetDefaultLockingMode() == poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED || drops(n.GetDefaultInboundAction()) || drops(n.GetDefaultOutboundAction()) || n.GetRaGuard() || n.GetDhcpGuard()
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
