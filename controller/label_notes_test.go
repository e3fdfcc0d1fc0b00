package controller

import (
	"slices"
	"strings"
	"testing"

	"poolwire/southbound/ovsdb"
)

func TestIgnoredLabelsAreNotedOfTheirVIF(t *testing.T) {
	t.Parallel()
	ids := map[string]string{"poolwire-label-Bad_K": "x", "poolwire-label-app": "web"}
	got := ignoredLabels(ovsdb.Topology{Ports: []ovsdb.Port{
		{Name: "vif1.0", Kind: ovsdb.PortVIF, VIFUUID: vif1, ExternalIDs: ids},
		{Name: "vif2.0", Kind: ovsdb.PortVIF, VIFUUID: "fine", ExternalIDs: map[string]string{"poolwire-label-app": "web"}},
		{Name: "eth0", Kind: ovsdb.PortPhysical, ExternalIDs: ids},
	}})
	if len(got) != 1 || len(got[vif1]) != 1 || !strings.HasPrefix(got[vif1][0], `external_ids:"poolwire-label-Bad_K" of vif1.0 is ignored: `) {
		t.Errorf("%q", got)
	}
}

func TestAnIgnoredLabelIsToldWithTheVIF(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	noted := func() bool {
		return slices.ContainsFunc(k.c.VifWarnings(vif1), func(w string) bool { return strings.Contains(w, `"poolwire-label-Bad_K" of vif1.0 is ignored`) })
	}
	if noted() {
		t.Error("a label is told of before it is there")
	}
	h.vsctl("set", "Interface", "vif1.0", "external_ids:poolwire-label-Bad_K=x")
	eventually(t, "the label is told of", noted)
	h.vsctl("remove", "Interface", "vif1.0", "external_ids", "poolwire-label-Bad_K")
	eventually(t, "it is told of no more", func() bool { return !noted() })
}
