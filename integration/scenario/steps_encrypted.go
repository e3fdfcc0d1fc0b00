package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
)

// KernelSteps need hosts that have a kernel of their own, with IPsec. An error says why there can be none here.
func KernelSteps() ([]Step, error) {
	if err := kernel.Require(); err != nil {
		return nil, err
	}
	return []Step{{"an encrypted private network between the pools: on the cable there is ESP, and nothing in clear", encryptedBetweenPools}}, nil
}

// sealedMTU is what fits behind ESP.
const sealedMTU = 1400

func encryptedBetweenPools(ctx context.Context, w *World) (string, error) {
	hosts, err := w.kernelHosts(ctx, map[string]string{"parisk1": "paris", "lyonk1": "lyon"})
	if err != nil {
		return "", err
	}
	if _, err := w.Poolwire(ctx, "private-network", "create", "sealed", "--vni", "300", "--encrypted", "--host", "parisk1", "--host", "lyonk1"); err != nil {
		return "", err
	}
	// From now on nothing between the two hosts is in clear, of the pools' other networks neither; to other hosts it is.
	cable, err := hosts["parisk1"].Capture(ctx, "host "+hosts["lyonk1"].Addr.String())
	if err != nil {
		return "", err
	}
	asked := time.Now()
	a, err := sealedVM(ctx, hosts["parisk1"], 1)
	if err != nil {
		return "", err
	}
	b, err := sealedVM(ctx, hosts["lyonk1"], 2)
	if err != nil {
		return "", err
	}
	if err := a.Ping(ctx, b.IPv4()); err != nil {
		return "", err
	}
	first := time.Since(asked)
	const pings = 100
	r, err := a.PingCount(ctx, b.IPv4(), lab.PingOptions{Count: pings, Interval: 10 * time.Millisecond})
	if err != nil {
		return "", err
	}
	if err := cable.Stop(ctx); err != nil {
		return "", err
	}
	sealed, open := lab.Count(cable.Packets(), kernel.ESP), lab.Count(cable.Packets(), kernel.Clear)
	if open > 0 || r.Received < pings || sealed < 2*pings {
		return "", fmt.Errorf("%w: %d packets in clear, %d of ESP; %d of %d pings answered", errLeak, open, sealed, r.Received, r.Sent)
	}
	return fmt.Sprintf("first answer after %.1f s, then %d of %d pings; on the cable %d packets of ESP, 0 of VXLAN, GRE or Geneve", first.Seconds(), r.Received, r.Sent, sealed), nil
}

// kernelHosts boots hosts beside each other and has them join their pools.
func (w *World) kernelHosts(ctx context.Context, pools map[string]string) (map[string]*kernel.Host, error) {
	out := map[string]*kernel.Host{}
	var booting errgroup.Group
	made := make(chan *kernel.Host, len(pools))
	for name := range pools {
		booting.Go(func() error {
			h, err := kernel.AddHost(ctx, w.Lab, kernel.HostOptions{Name: name, NetworkUUID: w.Lab.UUID("network", "xenbr0"), AcquireExpires: 3})
			if err == nil {
				made <- h
			}
			return err
		})
	}
	if err := booting.Wait(); err != nil {
		return nil, err
	}
	for range pools {
		h := <-made
		if err := w.JoinKernel(ctx, pools[h.ShortName], h); err != nil {
			return nil, err
		}
		out[h.ShortName] = h
	}
	return out, nil
}

func sealedVM(ctx context.Context, h *kernel.Host, n byte) (*kernel.VM, error) {
	return h.AddVM(ctx, lab.VMOptions{
		Name: fmt.Sprint("sealed", n), Bridge: "pw300", MTU: sealedMTU, IPv4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 88, 0, n}), 24),
	})
}
