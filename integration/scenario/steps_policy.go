package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// statefulRule shows a VM that may open sessions and be opened none: replies come
// back, and a denial cuts the session that is running.
func statefulRule(ctx context.Context, w *World) (string, error) {
	server, client := w.vms[serverVM], w.vms[clientVM]
	echo, err := server.ListenEcho(ctx, 80)
	if err != nil {
		return "", err
	}
	defer func() { _ = echo.Close() }()
	web := netip.AddrPortFrom(server.IPv4(), 80)
	for _, rule := range [][]string{
		{"--mandatory", "--drop", "--inbound", "--name", "nothing-in"},
		{"--allow", "--outbound", "--name", "sessions-out"},
	} {
		if _, err := w.Poolwire(ctx, append([]string{"rule", "add", "--vif", client.VIF().UUID}, rule...)...); err != nil {
			return "", err
		}
	}
	running, err := client.OpenEcho(ctx, web)
	if err != nil {
		return "", err
	}
	defer func() { _ = running.Close() }()
	if err := running.Check(ctx); err != nil {
		return "", fmt.Errorf("replies do not come back: %w", err)
	}
	if err := w.unreachable(ctx, serverVM, client.IPv4()); err != nil {
		return "", fmt.Errorf("what nobody asked for comes in: %w", err)
	}
	deny := []string{"rule", "add", "--vif", client.VIF().UUID, "--mandatory", "--drop", "--outbound", "--protocol", "tcp", "--remote-port", "80", "--name", "no-web"}
	if _, err := w.Poolwire(ctx, deny...); err != nil {
		return "", err
	}
	if err := w.hosts["paris2"].Settle(ctx); err != nil {
		return "", err
	}
	hung, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	err = running.Check(hung)
	stop()
	if err == nil {
		return "", fmt.Errorf("%w: the session goes on", errLeak)
	}
	return "replies pass, strangers do not; a new denial cut the running session", nil
}

// unreachable checks that pings of a VM get no answer.
func (w *World) unreachable(ctx context.Context, from string, to netip.Addr) error {
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	if err := w.vms[from].Ping(ctx, to); err == nil {
		return fmt.Errorf("%w: %s answers", errLeak, to)
	}
	return nil
}

// explained asks why the session is cut, and takes the rules away.
func explained(ctx context.Context, w *World) (string, error) {
	out, err := w.Poolwire(ctx, "explain", "--vif", w.vms[clientVM].VIF().UUID, "--to", w.vms[serverVM].IPv4().String(), "--proto", "tcp", "--port", "80")
	if err != nil {
		return "", err
	}
	for _, word := range []string{"no-web", "mandatory_out"} {
		if !strings.Contains(out, word) {
			return "", fmt.Errorf("explain does not say %q:\n%s", word, out)
		}
	}
	for _, name := range []string{"no-web", "sessions-out", "nothing-in"} {
		if _, err := w.Poolwire(ctx, "rule", "delete", name); err != nil {
			return "", err
		}
	}
	return firstLine(out), nil
}

// groupChange opens a server to an address by adding it to a group that a rule names.
func groupChange(ctx context.Context, w *World) (string, error) {
	server, client := w.vms[serverVM], w.vms[clientVM]
	echo, err := server.ListenEcho(ctx, 80)
	if err != nil {
		return "", err
	}
	defer func() { _ = echo.Close() }()
	web := netip.AddrPortFrom(server.IPv4(), 80)
	for _, command := range []string{
		"address-group create clients --address 192.0.2.0/24",
		"vif-group create servers --selector app=web",
		"vif update " + server.VIF().UUID + " --label app=web",
		"rule add --group servers --drop --inbound --protocol tcp --name others --priority 1",
		"rule add --group servers --allow --inbound --protocol tcp --local-port 80 --from group:clients --name clients",
	} {
		if _, err := w.Poolwire(ctx, strings.Fields(command)...); err != nil {
			return "", err
		}
	}
	if _, err := attempts(ctx, client, web, false); err != nil {
		return "", err
	}
	if _, err := w.Poolwire(ctx, "address-group", "add", "clients", client.IPv4().String()); err != nil {
		return "", err
	}
	n, err := attempts(ctx, client, web, true)
	if err != nil {
		return "", err
	}
	var errs []error
	for _, command := range []string{"rule delete others", "rule delete clients", "vif-group delete servers", "address-group delete clients"} {
		_, err := w.Poolwire(ctx, strings.Fields(command)...)
		errs = append(errs, err)
	}
	return fmt.Sprintf("%s joins the group: open at attempt %d", client.IPv4(), n), errors.Join(errs...)
}
