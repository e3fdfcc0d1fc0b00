package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// tunnels is the API that says how paths are.
func (r *relayed) tunnels(t *testing.T) poolwirev1.TunnelServiceClient {
	t.Helper()
	conn, err := r.Conn()
	if err != nil {
		t.Fatal(err)
	}
	return poolwirev1.NewTunnelServiceClient(conn)
}

// states waits until the tunnels that a host has an end of are in one state, and all others in another.
func (r *relayed) states(t *testing.T, host string, its, others poolwirev1.TunnelState) {
	t.Helper()
	api := r.tunnels(t)
	eventually(t, func(ctx context.Context) error {
		reply, err := api.ListTunnels(ctx, &poolwirev1.ListTunnelsRequest{})
		if err != nil {
			return err
		}
		if n := len(reply.GetTunnels()); n != 6 {
			return fmt.Errorf("%d tunnels between four hosts", n)
		}
		for _, tunnel := range reply.GetTunnels() {
			want := others
			if tunnel.GetA().GetHostNameLabel() == host || tunnel.GetB().GetHostNameLabel() == host {
				want = its
			}
			if tunnel.GetState() != want {
				return fmt.Errorf("%s to %s: %s (%s), path MTU %d of %d, want %s", tunnel.GetA().GetHostNameLabel(), tunnel.GetB().GetHostNameLabel(), tunnel.GetState(),
					tunnel.GetReason(), tunnel.GetPathMtu(), tunnel.GetExpectedPathMtu(), want)
			}
		}
		return nil
	})
}

// counts waits until each host's status counts so many members that it reaches.
func (r *relayed) counts(t *testing.T, want map[string]uint32) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		reply, err := r.networks(t).GetPrivateNetwork(ctx, &poolwirev1.GetPrivateNetworkRequest{PrivateNetwork: "blue"})
		if err != nil {
			return err
		}
		for _, h := range reply.GetPrivateNetwork().GetHosts() {
			if n := h.GetPeersUp(); n != want[h.GetHostNameLabel()] || h.GetPeersWanted() != 3 {
				return fmt.Errorf("%s reaches %d of %d", h.GetHostNameLabel(), n, h.GetPeersWanted())
			}
		}
		return nil
	})
}

// What happens to the NIC of a host shows in the state of exactly its tunnels within a second, and a path that takes less
// than the hosts believe is named with both its ends.
func TestPathsAreWatched(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, "paths", poolwirev1.Topology_TOPOLOGY_MESH, poolwirev1.Encapsulation_ENCAPSULATION_VXLAN)
	const up, down, degraded = poolwirev1.TunnelState_TUNNEL_STATE_UP, poolwirev1.TunnelState_TUNNEL_STATE_DOWN, poolwirev1.TunnelState_TUNNEL_STATE_DEGRADED
	all := map[string]uint32{"paris1": 3, "paris2": 3, "lyon1": 3, "lyon2": 3}
	r.states(t, "paris2", up, up)
	r.counts(t, all)
	ctx := within(t, 2*time.Minute)
	if out := r.do(t, "host", "show", "paris2"); !strings.Contains(out, "xenbr0") {
		t.Errorf("the interface of the tunnels is not shown:\n%s", out)
	}

	r.pathsUp(t)
	cut := time.Now()
	if out, err := r.hosts["paris2"].Run(ctx, "ip", "link", "set", "eth0", "down"); err != nil {
		t.Fatal(out, err)
	}
	r.states(t, "paris2", down, up)
	took := time.Since(cut)
	t.Logf("NIC down: shown after %v", took)
	if took > noticed {
		t.Errorf("NIC down: shown only after %v", took)
	}
	r.counts(t, map[string]uint32{"paris1": 2, "paris2": 0, "lyon1": 2, "lyon2": 2})
	if out := r.do(t, "tunnel", "matrix"); !strings.Contains(out, "paris2") {
		t.Errorf("the matrix lacks a host:\n%s", out)
	} else {
		t.Logf("matrix:\n%s", out)
	}
	if out, err := r.hosts["paris2"].Run(ctx, "ip", "link", "set", "eth0", "up"); err != nil {
		t.Fatal(out, err)
	}
	r.states(t, "paris2", up, up)
	r.counts(t, all)

	if err := r.Lab.NarrowHost(ctx, r.hosts["lyon2"], 1300); err != nil {
		t.Fatal(err)
	}
	r.states(t, "lyon2", degraded, up)
	eventually(t, func(ctx context.Context) error {
		reply, err := r.networks(t).GetPrivateNetwork(ctx, &poolwirev1.GetPrivateNetworkRequest{PrivateNetwork: "blue"})
		if err != nil {
			return err
		}
		said := strings.Join(reply.GetPrivateNetwork().GetWarnings(), "\n")
		for _, peer := range []string{"paris1", "paris2", "lyon1"} {
			if !strings.Contains(said, peer) || !strings.Contains(said, "packets of 129") && !strings.Contains(said, "packets of 1300") {
				return fmt.Errorf("the network's warnings: %q", said)
			}
		}
		t.Logf("warnings:\n%s", said)
		return nil
	})
}
