package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Nothing of anyone else's is touched: rows, keys and flows without Poolwire's
// mark stay, and foreign flows that would win are reported.
func TestForeignThingsStay(t *testing.T) {
	t.Parallel()
	p := newPair(t, "foreign")
	ctx := within(t, time.Minute)
	vsctl(t, p.h1, "set", "Bridge", "xenbr0", "external_ids:mine=kept", "other_config:mac-table-size=4711",
		"--", "--id=@c", "create", "Controller", `target="ptcp:16699:127.0.0.1"`, "external_ids:mine=kept", "--", "add", "Bridge", "xenbr0", "controller", "@c",
		"--", "add-br", "br-mine", "--", "set", "Bridge", "br-mine", "datapath_type=netdev", "external_ids:mine=kept")
	for bridge, f := range map[string]string{
		"xenbr0":  "cookie=0x1,table=0,priority=8000,udp,tp_dst=67,actions=NORMAL",
		"br-mine": "cookie=0x2,table=0,priority=9,actions=drop",
	} {
		if _, err := p.h1.Ofctl(ctx, "-O", "OpenFlow13", "add-flow", bridge, f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.h1.Ofctl(ctx, "-O", "OpenFlow13", "add-flow", "xenbr0", "cookie=0x3,table=0,priority=65535,tcp,tp_dst=7777,actions=drop"); err != nil {
		t.Fatal(err)
	}
	p.do(t, "private-network", "create", "blue", "--vni", "7", "--pool", "paris")
	p.KillDaemon()
	if err := p.StartDaemon(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitHost(ctx, "paris1"); err != nil {
		t.Fatal(err)
	}
	p.do(t, "private-network", "delete", "blue")
	kept := func() {
		t.Helper()
		for _, look := range [][]string{
			{"get", "Bridge", "xenbr0", "external_ids:mine"}, {"get", "Bridge", "br-mine", "external_ids:mine"},
		} {
			if got := vsctl(t, p.h1, look...); got != "kept" {
				t.Errorf("%v: %s", look, got)
			}
		}
		if got := vsctl(t, p.h1, "get-controller", "xenbr0"); !strings.Contains(got, "ptcp:16699:127.0.0.1") {
			t.Errorf("the foreign controller is gone: %s", got)
		}
		if got := vsctl(t, p.h1, "get", "Bridge", "xenbr0", "other_config:mac-table-size"); got != `"4711"` {
			t.Errorf("other_config: %s", got)
		}
		if got := vsctl(t, p.h1, "get-controller", "br-mine"); got != "" {
			t.Errorf("a bridge that is none of ours got the controller %s", got)
		}
	}
	kept()
	for _, want := range []string{"cookie=0x1,", "cookie=0x3,"} {
		if got := flows(t, p.h1, "xenbr0"); !strings.Contains(got, want) {
			t.Errorf("a foreign flow is gone: %s not in\n%s", want, got)
		}
	}
	if got := flows(t, p.h1, "br-mine"); !strings.Contains(got, "cookie=0x2,") {
		t.Errorf("a foreign bridge's flow is gone:\n%s", got)
	}
	eventually(t, func(ctx context.Context) error {
		out, err := p.Poolwire(ctx, "host", "show", "paris1")
		if err == nil && (!strings.Contains(out, "tp_dst=7777") || strings.Contains(out, "tp_dst=67,")) {
			err = fmt.Errorf("the winning foreign flow, and only that, must be reported:\n%s", out)
		}
		return err
	})
	p.do(t, "host", "release", "paris1")
	kept()
}
