package northbound

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
)

// addRule is a good request, for a test to spoil.
func addRule(spoil func(*v1.AddRuleRequest)) *v1.AddRuleRequest {
	r := &v1.AddRuleRequest{Bridge: "xenbr0", Pool: "paris", Mac: mac1, IpRange: "192.0.2.0/24",
		Direction: v1.Direction_DIRECTION_TO, Protocol: v1.Protocol_PROTOCOL_TCP, Port: proto.Uint32(22)}
	if spoil != nil {
		spoil(r)
	}
	return r
}

func member(pool, host string) *v1.PrivateNetworkMember {
	if pool != "" {
		return &v1.PrivateNetworkMember{Target: &v1.PrivateNetworkMember_PoolUuid{PoolUuid: pool}}
	}
	return &v1.PrivateNetworkMember{Target: &v1.PrivateNetworkMember_HostUuid{HostUuid: host}}
}

func privateNet(name string, spoil func(*v1.PrivateNetwork)) *v1.CreatePrivateNetworkRequest {
	n := &v1.PrivateNetwork{NameLabel: name, Members: []*v1.PrivateNetworkMember{member(paris, ""), member("", xcp3)}}
	if spoil != nil {
		spoil(n)
	}
	return &v1.CreatePrivateNetworkRequest{PrivateNetwork: n}
}

func passiveHost(spoil func(*v1.Host)) *v1.CreateHostRequest {
	h := &v1.Host{NameLabel: "xcp9", PoolUuid: paris, Mode: v1.ConnectionMode_CONNECTION_MODE_PASSIVE, Address: "192.0.2.19"}
	if spoil != nil {
		spoil(h)
	}
	return &v1.CreateHostRequest{Host: h}
}

// badInput is a call with something wrong in it.
type badInput struct {
	name string
	call func() error
	want refusal
	// logged: the state decides, so the attempt is in the log.
	logged bool
}

// TestBadInput: each wrong input is refused with the code, the field, the value
// and what would be accepted, and changes nothing: not even the revision moves
// for what can be told without the log.
func TestBadInput(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	if _, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", func(n *v1.PrivateNetwork) { n.Vni = 7 })); err != nil {
		t.Fatal(err)
	}
	for _, table := range []struct {
		service string
		tests   []badInput
	}{
		{"rule targets", badRuleTargets(f)}, {"rule fields", badRuleFields(f)}, {"rules", badRules(f)},
		{"members", badMembers(f)}, {"private networks", badNetworks(f)}, {"hosts", badHosts(f)}, {"pools", badPools(f)},
		{"VIFs", badVifs(f)}, {"reads", badReads(f)}, {"nodes", badNodes(f)},
	} {
		t.Run(table.service, func(t *testing.T) {
			for _, tt := range table.tests {
				t.Run(tt.name, func(t *testing.T) { tt.try(t, f) })
			}
		})
	}
}

// try makes the call and looks at what came of it.
func (b badInput) try(t *testing.T, f *fixture) {
	before, revision := f.state(), f.store.View().Revision()
	b.want.check(t, b.call())
	if after := f.state(); after != before {
		t.Errorf("the state changed:\n%s\nwas\n%s", after, before)
	}
	if now := f.store.View().Revision(); now != revision && !b.logged {
		t.Errorf("revision %d, was %d", now, revision)
	}
}

// TestAllViolationsTogether: one answer tells everything that is wrong.
func TestAllViolationsTogether(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	_, err := f.AddRule(f.ctx, &v1.AddRuleRequest{Bridge: "xenbr9", Mac: "nonsense", IpRange: "300.1.1.1", Protocol: v1.Protocol_PROTOCOL_TCP,
		Priority: proto.Uint32(70000), Cookie: "g"})
	var fields []string
	for _, v := range violationsOf(err) {
		fields = append(fields, v.GetField())
	}
	want := "mac direction ip_range port priority cookie bridge"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("fields %q, want %q", got, want)
	}
	t.Log(err)
}

// receiver is the client's end of a stream.
type receiver[T any] interface{ Recv() (*T, error) }

// drain reads a stream to its end and returns the error it ended with.
func drain[T any, S receiver[T]](s S, err error) error {
	for err == nil {
		_, err = s.Recv()
	}
	return err
}
