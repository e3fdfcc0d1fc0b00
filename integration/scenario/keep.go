package scenario

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// Keep leaves the lab up and prints how to play with it and how to remove it.
func (w *World) Keep(out io.Writer) error {
	if err := w.Lab.Keep(); err != nil {
		return err
	}
	if w.conn != nil {
		_ = w.conn.Close()
	}
	fmt.Fprintf(out, "\nThe lab stays up. The client:\n\n  export POOLWIRE_SOCKET=%s\n  %s/poolwire host list\n  %s/poolwire vif list\n", w.Socket, w.bin, w.bin)
	fmt.Fprintf(out, "\nVMs (ip netns exec NAMESPACE COMMAND):\n\n")
	for _, name := range slices.Sorted(maps.Keys(w.vms)) {
		vm := w.vms[name]
		fmt.Fprintf(out, "  %-16s %-28s %s %s\n", name, vm.Name, vm.IPv4(), vm.IPv6())
	}
	fmt.Fprintf(out, "\nHosts (switch tools: ovs-vsctl --db=unix:DIR/db.sock, ovs-ofctl -O OpenFlow13 dump-flows unix:DIR/BRIDGE.mgmt):\n\n")
	for _, name := range slices.Sorted(maps.Keys(w.hosts)) {
		fmt.Fprintf(out, "  %-16s %s\n", name, w.hosts[name].Dir)
	}
	fmt.Fprintf(out, "\nRemove it with:\n\n  make clean-lab LAB=%s\n\n", w.Lab.ID())
	return w.Lab.Close()
}
