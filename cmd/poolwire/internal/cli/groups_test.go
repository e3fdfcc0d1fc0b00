package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestAddressGroups(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.stdin = "192.0.2.2\n\n2001:db8::/32\n"
	wantLine(t, tableLines(t, f, "address-group", "create", "all", "--address", "192.0.2.1", "--file", "-", "--group", "db"), "address group all created")
	made := last[*poolwirev1.CreateAddressGroupRequest](t, f).GetAddressGroup()
	if d := cmp.Diff([]string{"192.0.2.1", "192.0.2.2", "2001:db8::/32"}, made.GetAddresses()); d != "" || len(made.GetGroups()) != 1 || made.GetGroups()[0] != addressGroupUUID {
		t.Errorf("%s, groups %v", d, made.GetGroups())
	}
	if f.waited.GetRevision() != 7 {
		t.Error("did not wait for the hosts")
	}
	wantLine(t, tableLines(t, f, "address-group", "list"), "db 1 192.0.2.1 - web-in "+addressGroupUUID)
	wantLine(t, tableLines(t, f, "ag", "show", "db"), "used-by web-in")
	tableLines(t, f, "address-group", "update", "db", "--address", "", "--name", "base")
	update := last[*poolwirev1.UpdateAddressGroupRequest](t, f)
	if len(update.GetAddressGroup().GetAddresses()) != 0 || strings.Join(update.GetUpdateMask().GetPaths(), " ") != "addresses name_label" {
		t.Errorf("asked %v", update)
	}
	f.addressGroups[0].NameLabel = "base"
	tableLines(t, f, "address-group", "add", "base", "192.0.2.9", "192.0.2.10")
	if m := last[*poolwirev1.ModifyAddressGroupRequest](t, f); len(m.GetAdd()) != 2 || len(m.GetRemove()) != 0 || m.GetAddressGroup() != "base" {
		t.Errorf("asked %v", m)
	}
	tableLines(t, f, "address-group", "remove", "base", "192.0.2.9")
	if m := last[*poolwirev1.ModifyAddressGroupRequest](t, f); len(m.GetRemove()) != 1 || len(m.GetAdd()) != 0 {
		t.Errorf("asked %v", m)
	}
	wantLine(t, tableLines(t, f, "address-group", "delete", "base"), "address group base deleted")
}

func TestVifGroups(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.vifGroups[0].Warnings = []string{"the selector matches no VIF"}
	unknown := "aaaaaaaa-0000-0000-0000-00000000000f"
	tableLines(t, f, "vif-group", "create", "all", "--selector", "app=web,!old", "--vif", "xcp1/vif2.0,"+unknown, "--group", "web")
	made := last[*poolwirev1.CreateVifGroupRequest](t, f).GetVifGroup()
	if d := cmp.Diff([]string{vifUUID, unknown}, made.GetVifUuids()); d != "" || made.GetSelector() != "app=web,!old" || len(made.GetGroups()) != 1 {
		t.Errorf("%s in %v", d, made)
	}
	wantLine(t, tableLines(t, f, "vif-group", "list"), "web 1 app=web - xcp1/vif2.0 - "+vifGroupUUID)
	wantLine(t, tableLines(t, f, "vif-group", "show", "web"), "note the selector matches no VIF")
	if code, _, errs := f.run(t, "vif-group", "add", "web", "xcp1/vif2.0"); code != exitOK || errs != "warning: the selector matches no VIF\n" {
		t.Errorf("exit %d, %q", code, errs)
	}
	if m := last[*poolwirev1.ModifyVifGroupRequest](t, f); len(m.GetAdd()) != 1 || f.waited.GetRevision() != 7 {
		t.Errorf("asked %v", m)
	}
	tableLines(t, f, "vif-group", "update", "web", "--selector", "")
	if u := last[*poolwirev1.UpdateVifGroupRequest](t, f); strings.Join(u.GetUpdateMask().GetPaths(), " ") != "selector" || u.GetVifGroup().GetSelector() != "" {
		t.Errorf("asked %v", u)
	}
	if code, _, _ := f.run(t, "vif-group", "create", "x", "--vif", "nobody"); code != exitNotFound {
		t.Errorf("exit %d, want %d", code, exitNotFound)
	}
}
