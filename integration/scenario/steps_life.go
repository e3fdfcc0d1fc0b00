package scenario

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"poolwire/integration/lab"
)

var volatile = regexp.MustCompile(`(duration|n_packets|n_bytes|idle_age|hard_age)=[^,]*, ?`)

// FlowLines are the flows of a dump without what changes by itself, sorted.
// Learned flows come and go with traffic and are left out.
func FlowLines(dump string) []string {
	var out []string
	for line := range strings.SplitSeq(dump, "\n") {
		if strings.Contains(line, "actions=") && !strings.Contains(line, "table=35,") && !strings.Contains(line, "table=learned,") {
			out = append(out, strings.TrimSpace(volatile.ReplaceAllString(line, "")))
		}
	}
	slices.Sort(out)
	return out
}

func hostJoins(ctx context.Context, w *World) (string, error) {
	host, err := w.Join(ctx, "lyon", false, lab.HostOptions{Name: "lyon2"})
	if err != nil {
		return "", err
	}
	w.hosts["lyon2"] = host
	if err := w.addVM(ctx, "lyon2", vmAt("blue-lyon2", "pw100", 4)); err != nil {
		return "", err
	}
	return "lyon2", w.pingAll(ctx, "blue-paris1", "blue-paris2", "blue-lyon1", "blue-lyon2")
}

func vmMigrates(ctx context.Context, w *World) (string, error) {
	vm := w.vms[lockedVM]
	if err := vm.Migrate(ctx, w.hosts["lyon2"]); err != nil {
		return "", err
	}
	if err := w.pingAll(ctx, lockedVM, neighbour, "blue-lyon1", "blue-lyon2"); err != nil {
		return "", err
	}
	if _, err := lockedStopsSpoofing(ctx, w); err != nil {
		return "", err
	}
	return lockedVM + " to lyon2 and back", vm.Migrate(ctx, w.hosts["paris1"])
}

func hostLeaves(ctx context.Context, w *World) (string, error) {
	leaving := w.hosts["lyon2"]
	addr := leaving.Addr.String()
	if _, err := w.Poolwire(ctx, "host", "remove", "lyon2"); err != nil {
		return "", err
	}
	for _, name := range []string{"paris1", "paris2", "lyon1"} {
		ports, err := w.hosts[name].Vsctl(ctx, "--columns=name,options", "find", "Interface", "options:remote_ip="+addr)
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(ports) != "" {
			return "", fmt.Errorf("%s still has a tunnel to lyon2: %s", name, ports)
		}
	}
	// The host itself is as it was before it joined: no controller, no bridge of ours.
	left, err := leaving.Vsctl(ctx, "--", "get-controller", "xenbr0", "--", "--columns=name", "find", "Bridge", "name=pw-overlay")
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(left) != "" {
		return "", fmt.Errorf("lyon2 still has %s", left)
	}
	delete(w.vms, "blue-lyon2")
	delete(w.hosts, "lyon2")
	if err := leaving.Close(ctx); err != nil {
		return "", err
	}
	return "", w.pingAll(ctx, "blue-paris1", "blue-paris2", "blue-lyon1")
}

// stateOf is what the client and the switches say of the whole.
func (w *World) stateOf(ctx context.Context) ([]byte, error) {
	var b bytes.Buffer
	for _, noun := range []string{"pool", "network", "private-network", "vif", "rule"} {
		out, err := w.Poolwire(ctx, noun, "list", "-o", "json")
		if err != nil {
			return nil, err
		}
		b.WriteString(out)
	}
	for _, name := range []string{"paris1", "paris2", "lyon1"} {
		for _, bridge := range []string{"xenbr0", "pw100", "pw200", "pw-overlay"} {
			flows, err := w.hosts[name].Ofctl(ctx, "-O", "OpenFlow13", "dump-flows", bridge)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "%s %s\n%s\n", name, bridge, strings.Join(FlowLines(flows), "\n"))
		}
	}
	return b.Bytes(), nil
}

func controllerKilled(ctx context.Context, w *World) (string, error) {
	if _, err := w.Poolwire(ctx, "wait"); err != nil {
		return "", err
	}
	before, err := w.stateOf(ctx)
	if err != nil {
		return "", err
	}
	fast := lab.PingOptions{Interval: 5 * time.Millisecond}
	private, err := w.vms["blue-paris1"].StartPing(ctx, w.vms["blue-lyon1"].IPv4(), fast)
	if err != nil {
		return "", err
	}
	external, err := w.vms["web-paris1"].StartPing(ctx, w.vms["web-paris2"].IPv6(), fast)
	if err != nil {
		return "", err
	}
	w.KillDaemon()
	if err := private.WaitReceived(ctx, private.Received()+100); err != nil {
		return "", fmt.Errorf("without a controller: %w", err)
	}
	if err := w.StartDaemon(ctx); err != nil {
		return "", err
	}
	for name := range w.hosts {
		if err := w.AwaitHost(ctx, name); err != nil {
			return "", err
		}
	}
	if err := private.WaitReceived(ctx, private.Received()+100); err != nil {
		return "", err
	}
	sent := 0
	for _, p := range []*lab.RunningPing{private, external} {
		r, err := p.Stop(ctx)
		if err != nil {
			return "", err
		}
		if r.Lost() > 0 {
			return "", fmt.Errorf("%d of %d pings were lost", r.Lost(), r.Sent)
		}
		sent += r.Sent
	}
	after, err := w.stateOf(ctx)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(before, after) {
		return "", fmt.Errorf("state differs: before\n%s\nafter\n%s", before, after)
	}
	return fmt.Sprintf("%d pings, 0 lost", sent), nil
}
