package ovsdb

import (
	"maps"
	"strings"
	"testing"
)

// oldSchema makes today's schema one like that of Open vSwitch 2.5.3, or an even
// poorer one: without the columns that it did not have.
func oldSchema(drop map[string][]string) func(map[string]any) {
	return func(s map[string]any) {
		s["version"] = "7.12.1"
		delete(s, "cksum")
		tables := s["tables"].(map[string]any)
		for table, columns := range drop {
			all := tables[table].(map[string]any)["columns"].(map[string]any)
			for _, c := range columns {
				delete(all, c)
			}
		}
		delete(tables["Open_vSwitch"].(map[string]any)["columns"].(map[string]any), "datapaths")
		for _, gone := range []string{"Datapath", "CT_Zone", "CT_Timeout_Policy"} {
			delete(tables, gone)
		}
	}
}

func lacking253() map[string][]string {
	return map[string][]string{
		"Controller": {"type", "controller_queue_size"}, "Interface": {"mtu_request", "ingress_policing_kpkts_rate", "ingress_policing_kpkts_burst"},
		"Mirror": {"snaplen"}, "Open_vSwitch": {"dpdk_initialized", "dpdk_version"}, "Port": {"cvlans", "protected"},
	}
}

// TestOldSchemas: what a schema lacks is neither monitored nor written.
func TestOldSchemas(t *testing.T) {
	t.Parallel()
	poorer := maps.Clone(lacking253())
	poorer["Flow_Table"] = []string{"external_ids"}
	poorer["Bridge"] = []string{"protocols"}
	poorer["Interface"] = append([]string{"mtu", "error", "link_state"}, poorer["Interface"]...)
	for name, drop := range map[string]map[string][]string{"2.5.3": lacking253(), "poorer": poorer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newRealHostWith(t, schemaText(t, oldSchema(drop)))
			h.vsctl("--no-wait", "add-br", "xenbr0")
			s := h.session(func(c *SessionConfig) { c.plainMonitor = true })
			if got := s.Snapshot().SchemaVersion(); got != "7.12.1" {
				t.Errorf("schema version %s", got)
			}
			carryOut(t, s, typicalDesired())
			if got := h.vsctl("list-ports", "pwoverlay"); got != "pwg1\npwu1\npwx1" {
				t.Errorf("ports: %q", got)
			}
			if _, err := s.Transact(testContext(t), Release(s.Snapshot(), ourCluster)); err != nil {
				t.Error(err)
			}
			if got := h.vsctl("list-br"); got != "xenbr0" {
				t.Errorf("bridges after the release: %q", got)
			}
		})
	}
}

// TestFallbackToPlainMonitor: 2.5.3 does not know monitor_cond.
func TestFallbackToPlainMonitor(t *testing.T) {
	t.Parallel()
	f, s, err := startFake(t, answers{
		monitorCond: `raw:{"id":2,"result":null,"error":"unknown method"}`,
		monitor:     strings.ReplaceAll(firstRows, `"initial"`, `"new"`),
	}, SessionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if b := s.Snapshot().Bridges[bridgeUUID]; b == nil || b.Name != "br0" {
		t.Fatalf("bridge: %+v", b)
	}
	f.send(`{"id":null,"method":"update","params":["poolwire",{"Bridge":{"` + bridgeUUID + `":{"old":{"name":"br0"}}}}]}`)
	await(t, s, "the bridge is gone", func(snap *Snapshot) bool { return len(snap.Bridges) == 0 })
}
