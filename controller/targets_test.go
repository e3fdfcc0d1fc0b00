package controller

import (
	"slices"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestEveryNodeIsDialledTwice(t *testing.T) {
	t.Parallel()
	self := ownNode{id: "n1", openflow: 6653, flags: 7000}
	for name, c := range map[string]struct {
		nodes []*poolwirev1.Node
		want  []string
	}{
		"not advertised":      {[]*poolwirev1.Node{{Id: "n1"}}, []string{"ssl:192.0.2.9:6653", "ssl:192.0.2.9:7000"}},
		"advertised":          {[]*poolwirev1.Node{{Id: "n1", OpenflowAddress: "192.0.2.1:6653"}}, []string{"ssl:192.0.2.1:6653", "ssl:192.0.2.1:7000"}},
		"advertised, mapped":  {[]*poolwirev1.Node{{Id: "n1", OpenflowAddress: "192.0.2.1:16653"}}, []string{"ssl:192.0.2.1:16653", "ssl:192.0.2.1:16654"}},
		"another":             {[]*poolwirev1.Node{{Id: "n2", OpenflowAddress: "[2001:db8::2]:6653"}}, []string{"ssl:[2001:db8::2]:6653", "ssl:[2001:db8::2]:6654"}},
		"another, not known":  {[]*poolwirev1.Node{{Id: "n2"}}, nil},
		"at the highest port": {[]*poolwirev1.Node{{Id: "n2", OpenflowAddress: "192.0.2.1:65535"}}, []string{"ssl:192.0.2.1:65535"}},
	} {
		if got := self.targets(c.nodes, "192.0.2.9:6653"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
