package flowcompiler

import "testing"

func TestGoldenHostDelivery(t *testing.T) {
	t.Parallel()
	in := externalInput()
	in.Networks[0].Rules, in.Networks[1].Rules = networkRules(), networkRules()
	golden(t, TableHostDelivery, "base", Input{})
	golden(t, TableHostDelivery, "described", in)
	in.Ports = in.Ports[:1]
	golden(t, TableHostDelivery, "undescribed", in)
	golden(t, TableHostDelivery, "no_denials", externalInput())
}
