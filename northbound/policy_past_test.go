package northbound

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/google/go-cmp/cmp"

	v1 "poolwire/proto/poolwire/v1"
)

// changer makes random changes of what decides over packets; one that is refused changes nothing.
type changer struct {
	*fixture
	*rand.Rand
	addresses, vifs []string // UUIDs of groups
}

func (c *changer) pick(of ...string) string { return of[c.Intn(len(of))] }

func (c *changer) rule() *v1.PolicyRule {
	return policyRule(func(r *v1.PolicyRule) {
		r.NameLabel = fmt.Sprint("rule", c.Intn(6))
		r.Action = v1.RuleAction(1 + c.Intn(3))
		r.Section = v1.PolicySection(1 + c.Intn(2))
		r.Priority = proto.Uint32(uint32(c.Intn(5)))
		switch r.Level = v1.PolicyLevel(1 + c.Intn(5)); r.GetLevel() {
		case v1.PolicyLevel_POLICY_LEVEL_GLOBAL:
			r.ScopeUuid = ""
		case v1.PolicyLevel_POLICY_LEVEL_POOL:
			r.ScopeUuid = paris
		case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
			r.ScopeUuid = c.network1().GetUuid()
		case v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
			r.ScopeUuid = c.pick(c.vifs...)
		default:
			r.ScopeUuid = c.pick(vif1, vif2)
		}
		switch c.Intn(3) {
		case 0:
			r.RemotePrefixes, r.RemoteAddressGroupUuid = nil, c.pick(c.addresses...)
		case 1:
			r.RemotePrefixes, r.RemoteVifGroupUuid = nil, c.pick(c.vifs...)
		}
	})
}

func (c *changer) make() error {
	paths := func(p ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: p} }
	rules := c.store.View().PolicyRules()
	switch n := c.Intn(12); {
	case n < 3 || len(rules) == 0:
		_, err := c.CreatePolicyRule(c.ctx, &v1.CreatePolicyRuleRequest{PolicyRule: c.rule()})
		return err
	case n == 3:
		r := c.rule()
		r.Uuid = rules[c.Intn(len(rules))].GetUuid()
		_, err := c.UpdatePolicyRule(c.ctx, &v1.UpdatePolicyRuleRequest{PolicyRule: r, UpdateMask: paths("action", "priority", "section")})
		return err
	case n == 4:
		_, err := c.DeletePolicyRule(c.ctx, &v1.DeletePolicyRuleRequest{PolicyRule: rules[c.Intn(len(rules))].GetUuid()})
		return err
	case n == 5:
		_, err := c.ModifyAddressGroup(c.ctx, &v1.ModifyAddressGroupRequest{AddressGroup: c.pick(c.addresses...),
			Add: []string{fmt.Sprintf("192.0.2.%d", c.Intn(20))}, Remove: []string{fmt.Sprintf("192.0.2.%d", c.Intn(20))}})
		return err
	case n == 6:
		_, err := c.ModifyVifGroup(c.ctx, &v1.ModifyVifGroupRequest{VifGroup: c.pick(c.vifs...), Add: []string{c.pick(vif1, vif2)}, Remove: []string{c.pick(vif1, vif2, vif3)}})
		return err
	case n == 7:
		_, err := c.UpdateVif(c.ctx, &v1.UpdateVifRequest{Vif: &v1.Vif{Uuid: c.pick(vif1, vif2), LockingMode: v1.LockingMode(1 + c.Intn(4)), Ipv4Allowed: []string{"192.0.2.9"},
			Qos: &v1.Qos{OutboundBps: uint64(1e6 * (1 + c.Intn(9)))}, Labels: map[string]string{"app": c.pick("web", "db")}},
			UpdateMask: paths(c.pick("locking_mode", "ipv4_allowed", "qos", "labels"))})
		return err
	case n == 8:
		_, err := c.UpdateNetwork(c.ctx, &v1.UpdateNetworkRequest{Network: &v1.Network{Uuid: c.network1().GetUuid(), NameLabel: c.pick("lan", "dmz"),
			DefaultInboundAction: v1.DefaultAction(1 + c.Intn(2))}, UpdateMask: paths("name_label", "default_inbound_action")})
		return err
	case n == 9:
		_, err := c.AddRule(c.ctx, addRule(func(r *v1.AddRuleRequest) {
			r.Mac, r.Port, r.Allow = c.pick(mac1, mac2), proto.Uint32(uint32(20+c.Intn(4))), c.Intn(2) == 0
		}))
		return err
	case n == 10:
		_, err := c.UpdatePool(c.ctx, &v1.UpdatePoolRequest{Pool: &v1.Pool{Uuid: paris, NameLabel: c.pick("paris", "lutetia")}, UpdateMask: paths("name_label")})
		return err
	default:
		_, err := c.DeleteVif(c.ctx, &v1.DeleteVifRequest{Vif: c.pick(vif1, vif2)})
		return err
	}
}

// The policy of an earlier revision is the one that was answered then.
func TestThePastIsWhatItWas(t *testing.T) {
	t.Parallel()
	for seed := range int64(4) {
		f := newWorld(t)
		c := &changer{fixture: f, Rand: rand.New(rand.NewSource(seed))}
		for _, name := range []string{"a", "b"} {
			c.addresses = append(c.addresses, f.addAddressGroup("hosts "+name, "192.0.2.77").GetUuid())
			c.vifs = append(c.vifs, f.addVifGroup("vifs "+name, func(g *v1.VifGroup) { g.Selector = map[string]string{"a": "app=web", "b": ""}[name] }).GetUuid())
		}
		type answer struct {
			revision uint64
			vif      string
			policy   *v1.GetEffectivePolicyResponse
		}
		var then []answer
		done := 0
		for range 120 {
			if c.make() == nil {
				done++
			}
			vif := c.pick(vif1, vif2)
			r, err := f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: vif})
			if err != nil {
				t.Fatal(err)
			}
			then = append(then, answer{r.GetRevision(), vif, r})
		}
		if done < 60 {
			t.Errorf("only %d of 120 changes were made", done)
		}
		different := 0
		for _, a := range then {
			r, err := f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: a.vif, AtRevision: a.revision})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(a.policy, r, protocmp.Transform(), protocmp.IgnoreFields(r, "until", "notes", "revision")); diff != "" {
				t.Fatalf("seed %d, revision %d: %s", seed, a.revision, diff)
			}
			if !slices.Equal(a.policy.GetBeside(), then[len(then)-1].policy.GetBeside()) || len(a.policy.GetInbound()) != len(then[len(then)-1].policy.GetInbound()) {
				different++
			}
		}
		if different < 20 {
			t.Errorf("only %d answers differ from the last one", different)
		}
	}
}
