package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

// Rules are shown on an external network, xenbr0: from one host's VM to
// another's over the fabric, as on an XCP-ng pool.
const (
	serverVM = "web-paris1"
	clientVM = "web-paris2"
)

// sshRule are the words of a rule about what the client VM sends to port 22:
// "to" describes the receiver of what the VM sends, as XCP-ng's plugin has it.
func sshRule(w *World) []string {
	return []string{"bridge=xenbr0", "pool=paris", "mac=" + w.vms[clientVM].MAC().String(), "ipRange=10.77.0.0/24", "direction=to", "protocol=tcp", "port=22"}
}

// attempts keeps connecting until it has the wanted outcome; it reports how
// many tries that took: the switch confirms a change of its tables a moment
// before its cache of recent connections follows. A connection attempt that is refused by silence counts
// as blocked after 300 ms, more than any answer takes here.
func attempts(ctx context.Context, vm *lab.VM, to netip.AddrPort, open bool) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for n := 1; ; n++ {
		one, stop := context.WithTimeout(ctx, 300*time.Millisecond)
		err := vm.ConnectEcho(one, to)
		stop()
		if (err == nil) == open {
			return n, nil
		}
		if ctx.Err() != nil {
			return n, fmt.Errorf("connecting to %s: wanted open=%v for 20 s: %w", to, open, errors.Join(ctx.Err(), err))
		}
	}
}

func ruleOnTCP(ctx context.Context, w *World) (string, error) {
	server, client := w.vms[serverVM], w.vms[clientVM]
	echo, err := server.ListenEcho(ctx, 22)
	if err != nil {
		return "", err
	}
	defer func() { _ = echo.Close() }()
	target := netip.AddrPortFrom(server.IPv4(), 22)
	if _, err := attempts(ctx, client, target, true); err != nil {
		return "", err
	}
	// A second attempt is under way, and a connection is open, while the rule comes.
	running, err := client.OpenEcho(ctx, target)
	if err != nil {
		return "", err
	}
	defer func() { _ = running.Close() }()
	if _, err := w.Poolwire(ctx, append([]string{"add-rule", "allow=false"}, sshRule(w)...)...); err != nil {
		return "", err
	}
	blocked, err := attempts(ctx, client, target, false)
	if err != nil {
		return "", err
	}
	// The connection that was open hangs too, and goes on by itself when the rule is gone.
	hung, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	err = running.Check(hung)
	stop()
	if err == nil {
		return "", fmt.Errorf("%w: the open connection goes on", errLeak)
	}
	if err := client.Ping(ctx, server.IPv4()); err != nil {
		return "", fmt.Errorf("the rule blocks more than TCP 22: %w", err)
	}
	if _, err := w.Poolwire(ctx, append([]string{"del-rule"}, sshRule(w)...)...); err != nil {
		return "", err
	}
	open, err := attempts(ctx, client, target, true)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("blocked at attempt %d, open again at attempt %d", blocked, open), nil
}

func changedMAC(ctx context.Context, w *World) (string, error) {
	server, client := w.vms[serverVM], w.vms[clientVM]
	was := client.MAC()
	if err := client.SetMAC(ctx, frame.MustMAC("02:00:00:00:77:77")); err != nil {
		return "", err
	}
	if err := client.Ping(ctx, server.IPv4()); err != nil {
		return "", fmt.Errorf("without a rule the changed address works: %w", err)
	}
	// What the VM sends, and what is sent to it: each by a rule of its own, for a
	// ping passes only if both ways are open.
	for _, way := range []struct {
		direction string
		from      *lab.VM
		to        netip.Addr
	}{{"to", client, server.IPv4()}, {"from", server, client.IPv4()}} {
		rule := []string{"bridge=xenbr0", "pool=paris", "mac=" + was.String(), "ipRange=" + server.IPv4().String(), "direction=" + way.direction, "protocol=icmp"}
		if _, err := w.Poolwire(ctx, append([]string{"add-rule", "allow=false"}, rule...)...); err != nil {
			return "", err
		}
		for _, name := range []string{"paris1", "paris2"} {
			if err := w.hosts[name].Settle(ctx); err != nil {
				return "", err
			}
		}
		if r, err := way.from.PingCount(ctx, way.to, lab.PingOptions{Count: 5, Interval: 10 * time.Millisecond, Wait: 300 * time.Millisecond}); err == nil && r.Received > 0 {
			return "", fmt.Errorf("%w: %d of %d pings from %s", errLeak, r.Received, r.Sent, way.from.ShortName)
		}
		if _, err := w.Poolwire(ctx, append([]string{"del-rule"}, rule...)...); err != nil {
			return "", err
		}
		if err := way.from.Ping(ctx, way.to); err != nil {
			return "", fmt.Errorf("after the rule is gone: %w", err)
		}
	}
	return "neither outbound nor inbound", client.SetMAC(ctx, was)
}

func dumpFlowsExplains(ctx context.Context, w *World) (string, error) {
	rule := append([]string{"add-rule", "allow=false"}, sshRule(w)...)
	added, err := w.Poolwire(ctx, append(rule, "-o", "json")...)
	if err != nil {
		return "", err
	}
	var stored struct{ UUID string }
	if err := json.Unmarshal([]byte(added), &stored); err != nil {
		return "", err
	}
	plain, err := w.Poolwire(ctx, "dump-flows", "bridge=xenbr0", "host=paris2")
	if err != nil {
		return "", err
	}
	if err := w.sameAsSwitch(ctx, "paris2", "xenbr0", plain); err != nil {
		return "", err
	}
	explained, err := w.Poolwire(ctx, "dump-flows", "bridge=xenbr0", "host=paris2", "--explain")
	if err != nil {
		return "", err
	}
	line := ""
	lines := strings.Split(explained, "\n")
	for i := range len(lines) - 1 {
		if strings.Contains(lines[i], "tp_dst=22") {
			line = strings.TrimSpace(lines[i+1])
		}
	}
	if stored.UUID == "" || !strings.Contains(line, stored.UUID) || !strings.Contains(explained, w.vms[clientVM].MAC().String()) {
		return "", fmt.Errorf("the rule's flow is explained by %q in\n%s", line, explained)
	}
	_, err = w.Poolwire(ctx, append([]string{"del-rule"}, sshRule(w)...)...)
	return strings.TrimPrefix(line, "# "), err
}

// sameAsSwitch compares a dump with that of ovs-ofctl, counters and ages aside.
func (w *World) sameAsSwitch(ctx context.Context, host, bridge, dump string) error {
	theirs, err := w.hosts[host].Ofctl(ctx, "-O", "OpenFlow13", "dump-flows", bridge)
	if err != nil {
		return err
	}
	a, b := FlowLines(dump), FlowLines(theirs)
	if strings.Join(a, "\n") != strings.Join(b, "\n") {
		return fmt.Errorf("dump-flows prints\n%s\novs-ofctl prints\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	return nil
}
