package kernel_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// TestTooBig has VMs send more than a network's MTU: Linux tells them by how much, and TCP makes do with it. Of an
// encrypted network the room is smaller by what ESP takes.
func TestTooBig(t *testing.T) {
	d := newDuo(t, "ktoobig", nil)
	const vxlan, geneve = poolwirev1.Encapsulation_ENCAPSULATION_VXLAN, poolwirev1.Encapsulation_ENCAPSULATION_GENEVE
	for i, n := range []*poolwirev1.PrivateNetwork{{Encapsulation: vxlan}, {Encapsulation: geneve}, {Encapsulation: vxlan, Encrypted: true}} {
		vni := 501 + i
		name := fmt.Sprint("wide", vni)
		n.NameLabel, n.Vni = name, uint32(vni)
		d.create(t, n)
		var vms []*kernel.VM
		for i, h := range []*kernel.Host{d.h1, d.h2} {
			vm, err := h.AddVM(within(t, time.Minute), lab.VMOptions{
				Name: fmt.Sprintf("w%d-%d", vni, i+1), Bridge: fmt.Sprintf("pw%d", vni), IPv4: prefix(byte(i + 1)), MTU: 1500,
			})
			if err != nil {
				t.Fatal(err)
			}
			vms = append(vms, vm)
		}
		a, b := vms[0], vms[1]
		if err := a.Ping(within(t, time.Minute), b.IPv4()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%v, encrypted: %v: effective MTU %d", n.GetEncapsulation(), n.GetEncrypted(), d.network(t, name).GetEffectiveMtu())
		fits := d.network(t, name).GetEffectiveMtu()
		told := fmt.Sprintf("mtu = %d", fits)
		eventually(t, func(ctx context.Context) error {
			out, _ := a.Exec(ctx, "ping", "-n", "-M", "do", "-s", "1472", "-c", "2", "-i", "0.1", "-W", "1", b.IPv4().String())
			if !strings.Contains(out, told) && !strings.Contains(out, strings.ReplaceAll(told, " ", "")) {
				return fmt.Errorf("a VM that sends 1500 bytes is not told %q:\n%s", told, out)
			}
			return nil
		})
		transfer(t, a, b)
	}
}

// transfer sends a megabyte over TCP.
func transfer(t *testing.T, from, to *kernel.VM) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	received := make(chan string, 1)
	go func() {
		out, err := to.Exec(ctx, "sh", "-c", "ncat -l 9000 --recv-only | wc -c")
		received <- fmt.Sprint(strings.TrimSpace(out), " ", err)
	}()
	eventually(t, func(ctx context.Context) error {
		_, err := from.Exec(ctx, "sh", "-c", fmt.Sprintf("head -c 1000000 /dev/zero | ncat --send-only -w 5 %s 9000", to.IPv4()))
		return err
	})
	if got := <-received; got != "1000000 <nil>" {
		t.Errorf("of 1000000 bytes these have come: %s", got)
	}
}
