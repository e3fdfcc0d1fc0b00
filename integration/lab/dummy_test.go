package lab_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/labtest"
)

func TestDummyHost(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	const ports = 1000
	l := labtest.New(t, lab.Options{Name: "dummy"})
	begun := time.Now()
	d, err := l.AddDummyHost(ctx, lab.DummyOptions{Name: "scale", VIFs: ports, Managers: []string{"ptcp:0:127.0.0.1"}})
	must(t, err)
	t.Logf("%d ports in %v", ports, time.Since(begun))
	must(t, d.AddVIFs(ctx, ports+1, 1))
	out, err := d.Vsctl(ctx, "list-ports", d.Bridge)
	if err != nil || len(strings.Fields(out)) != ports+1 {
		t.Errorf("%d ports, %v", len(strings.Fields(out)), err)
	}
	last := d.VIF(ports + 1)
	out, err = d.Vsctl(ctx, "get", "Interface", last.Port, "ofport", "error", "external_ids:xs-vif-uuid", "external_ids:attached-mac")
	want := fmt.Sprintf("%d\n[]\n%q\n%q\n", ports+1, last.UUID, last.MAC)
	if err != nil || out != want {
		t.Errorf("the last port: %q, %v; want %q", out, err, want)
	}
	if _, err := d.Ofctl(ctx, "-O", "OpenFlow13", "add-flow", d.Bridge, "in_port=1001,actions=output:1"); err != nil {
		t.Error(err)
	}
	trace, err := d.Appctl(ctx, "ofproto/trace", d.Bridge, "in_port="+last.Port)
	if err != nil || !strings.Contains(trace, "Datapath actions: ") || strings.Contains(trace, "Datapath actions: drop") {
		t.Errorf("trace: %q, %v", trace, err)
	}
	port, err := d.ManagerPort(ctx)
	must(t, err)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, json.NewEncoder(conn).Encode(map[string]any{"method": "list_dbs", "params": []any{}, "id": 1}))
	var reply struct{ Result []string }
	if err := json.NewDecoder(conn).Decode(&reply); err != nil || len(reply.Result) == 0 || reply.Result[0] != "Open_vSwitch" {
		t.Errorf("list_dbs: %v, %v", reply, err)
	}
}
