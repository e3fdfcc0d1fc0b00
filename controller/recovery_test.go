package controller

import (
	"strings"
	"testing"

	"poolwire/backup"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// restoreCommands are the commands that restore a small backup.
func restoreCommands(data []byte) []*storev1.Command {
	of := func(r *storev1.RestoreBackup) *storev1.Command {
		r.Id = "x"
		return &storev1.Command{Body: &storev1.Command_RestoreBackup{RestoreBackup: r}}
	}
	return []*storev1.Command{
		of(&storev1.RestoreBackup{Step: storev1.RestoreStep_RESTORE_STEP_STAGE, Data: data}),
		of(&storev1.RestoreBackup{Step: storev1.RestoreStep_RESTORE_STEP_COMMIT, Parts: 1}),
	}
}

// saved is the backup of a cluster.
func saved(s *state) []byte {
	s.t.Helper()
	data, err := s.st.Backup(s.view())
	if err != nil {
		s.t.Fatalf("backup: %v", err)
	}
	return data
}

// The hosts of a lost cluster are taken over by one that its backup was restored into, as
// they are: marked with its UUID and with an epoch that its last leaders have reached.
func TestARestoredClusterTakesItsHosts(t *testing.T) {
	t.Parallel()
	lost := newCluster(t)
	h, uuid := lost.join(1)
	lost.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	lost.do(lost.lock(vif1))
	lost.confirmed()
	data := saved(lost.state)
	id := lost.view().ClusterUUID()
	// The lost cluster went on after the backup.
	h.vsctl("set", "Open_vSwitch", ".", "external_ids:poolwire-epoch=999")

	k := newCluster(t)
	for _, c := range restoreCommands(data) {
		k.do(c)
	}
	k.hosts = lost.hosts
	// Its switch goes on dialling the nodes of the lost cluster only: as far as this goes here.
	eventually(t, "the host is claimed", func() bool {
		return len(h.vsctl("get", "Open_vSwitch", ".", "external_ids:poolwire-epoch")) > 10 && k.c.HostStatus(uuid).GetState() == poolwirev1.HostState_HOST_STATE_SYNCING
	})
	if got := strings.Trim(h.vsctl("get", "Open_vSwitch", ".", "external_ids:poolwire-cluster"), `"`); got != id {
		t.Errorf("the host is of %s, want %s", got, id)
	}
	// Should the lost cluster still run, its leader is turned away by the host.
	eventually(t, "the lost cluster is fenced off", func() bool {
		return strings.Contains(lost.c.HostStatus(uuid).GetLastError(), "newer epoch")
	})
	f, err := backup.Decode(saved(k.state))
	if err != nil || f.Manifest.GetEpoch() < 1<<40 {
		t.Errorf("the next backup has epoch %d, %v", f.Manifest.GetEpoch(), err)
	}
}

// A cluster is lost and there is no backup. What its hosts hold is learned without touching
// it; only when the new cluster takes its place, what nobody wants there is removed.
func TestTheHostsOfALostClusterAreLearned(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h := k.fake(1)
	lost, pn := uuidOf("9999", 1), uuidOf("ffff", 7)
	h.vsctl("set", "Open_vSwitch", ".", "external_ids:poolwire-cluster="+lost, "external_ids:poolwire-epoch=999")
	h.plug("vif1.0", "xenbr0", vif1, macOf(1))
	mark := func(table string) []string {
		return []string{"--", "set", table, "pwp7", "external_ids:poolwire-owner=" + lost, "external_ids:poolwire-object=patch:" + pn}
	}
	h.vsctl(append(append([]string{"add-port", "xenbr0", "pwp7", "--", "set", "interface", "pwp7", "type=patch", "options:peer=pwq7"}, mark("port")...), mark("interface")...)...)
	before := h.vsctl("get", "bridge", "xenbr0", "ports")
	h.silent.Store(true)
	eventually(t, "there is a switch", func() bool { return h.sw("xenbr0") != nil })
	master(t, h, 999) // the lost cluster was its master, too
	h.silent.Store(false)
	uuid := k.register(h)
	eventually(t, "it is refused, and seen", func() bool {
		p := k.view().Port(uuid, "pwp7")
		return k.c.HostStatus(uuid).GetState() == poolwirev1.HostState_HOST_STATE_REFUSED && p.GetOwned() && p.GetObject() == "patch:"+pn
	})
	if k.view().Vif(vif1) == nil || len(k.view().Networks()) != 1 {
		t.Errorf("VIFs %v, networks %v", k.view().Vifs(), k.view().Networks())
	}
	if after := h.vsctl("get", "bridge", "xenbr0", "ports"); after != before {
		t.Errorf("ports %s became %s", before, after)
	}
	k.do(&storev1.Command{Body: &storev1.Command_TakeOverCluster{TakeOverCluster: &storev1.TakeOverCluster{ClusterUuid: lost}}})
	eventually(t, "the host is taken", func() bool {
		return k.c.HostStatus(uuid).GetState() == poolwirev1.HostState_HOST_STATE_READY && k.view().Port(uuid, "pwp7") == nil
	})
	k.confirmed()
}
