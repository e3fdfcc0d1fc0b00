package controller

import (
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// TestASelectorOfWhatIsNotThereFollowsVIFsThatComeAndGo: a VIF without labels is a member
// from when it is known until it is forgotten, though its labels never change.
func TestASelectorOfWhatIsNotThereFollowsVIFsThatComeAndGo(t *testing.T) {
	t.Parallel()
	w, hosts, vifs := twoHosts(t)
	all := vifGroup(1)
	w.do(putVifGroup(&poolwirev1.VifGroup{Uuid: all, NameLabel: "all", Selector: "!quarantine"}, true))
	remote := inboundRule(2, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vifs[1])
	remote.RemoteVifGroupUuid = all
	w.do(putPolicyRule(remote, true))
	w.settle()
	if w.flowsWith(hosts[1], macOf(1)) == 0 {
		t.Fatal("a VIF without labels is no member")
	}
	w.do(observe(&storev1.ObserveHost{HostUuid: hosts[0], PortsGone: []string{"vif1.0"}}))
	if w.view().Vif(vifs[0]) != nil {
		t.Fatal("the VIF is still known")
	}
	w.settle()
	if n := w.flowsWith(hosts[1], macOf(1)); n != 0 {
		t.Errorf("%d flows still have the VIF that is gone", n)
	}
	p := vifPort(hosts[0], "vif3.0", uuidOf("dddd", 3), 0)
	p.AttachedMac = macOf(3)
	w.do(seen(hosts[0], p))
	w.settle()
	if w.flowsWith(hosts[1], macOf(3)) == 0 {
		t.Error("the VIF that came is no member")
	}
}

// TestWhatShutsPortsThatNobodyHasClassified: a network whose VIFs are disabled by default
// is one of those things, alone.
func TestWhatShutsPortsThatNobodyHasClassified(t *testing.T) {
	t.Parallel()
	pool, network := uuidOf("aaaa", 1), uuidOf("eeee", 1)
	for name, c := range map[string]struct {
		set  func(n *poolwirev1.Network)
		none bool
	}{
		"nothing": {func(*poolwirev1.Network) {}, true},
		"unlocked": {func(n *poolwirev1.Network) {
			n.DefaultLockingMode = poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED
		}, true},
		"disabled": {func(n *poolwirev1.Network) {
			n.DefaultLockingMode = poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED
		}, false},
		"inbound dropped":  {func(n *poolwirev1.Network) { n.DefaultInboundAction = poolwirev1.DefaultAction_DEFAULT_ACTION_DROP }, false},
		"outbound dropped": {func(n *poolwirev1.Network) { n.DefaultOutboundAction = poolwirev1.DefaultAction_DEFAULT_ACTION_DROP }, false},
		"RA guard":         {func(n *poolwirev1.Network) { n.RaGuard = true }, false},
		"DHCP guard":       {func(n *poolwirev1.Network) { n.DhcpGuard = true }, false},
	} {
		n := &poolwirev1.Network{Uuid: network, PoolUuid: pool}
		c.set(n)
		if got := !guards(n); got != c.none {
			t.Errorf("%s: nothing holds its VIFs back: %v", name, got)
		}
	}
}

// TestADefaultThatDisablesVIFsIsCounted as long as there is one.
func TestADefaultThatDisablesVIFsIsCounted(t *testing.T) {
	t.Parallel()
	w, _, _ := twoHosts(t)
	for _, mode := range []poolwirev1.DefaultLockingMode{
		poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED, poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED,
		poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED,
	} {
		n := proto.CloneOf(w.view().Networks()[0])
		n.DefaultLockingMode = mode
		cmd := putNetwork(n)
		cmd.GetPutNetwork().Force = true
		w.do(cmd)
		w.settle()
		disabled := mode == poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED
		if w.policies.none() == disabled || newPolicies(w.view()).none() == disabled {
			t.Errorf("%v: nothing holds VIFs back: %v, counted anew: %v", mode, w.policies.none(), newPolicies(w.view()).none())
		}
	}
}
