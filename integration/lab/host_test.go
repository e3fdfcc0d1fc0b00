package lab_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/labtest"
)

func TestBondsAndVLANs(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"balance-slb", "active-backup"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ctx := labtest.Context(t)
			l := labtest.New(t, lab.Options{Name: "bond"})
			bonded := lab.BridgeOptions{Name: "xapi0", Uplink: true, Bond: true, BondMode: mode,
				NetworkUUID: "parent", VLANs: map[string]uint16{"xapi1": 42, "xapi2": 43},
				VLANNetworkUUIDs: map[string]string{"xapi1": "vlan1", "xapi2": "vlan2"}}
			plain := lab.BridgeOptions{Name: "xenbr0", Uplink: true, VLANs: map[string]uint16{"xapi7": 42}}
			a := labtest.Host(t, l, lab.HostOptions{Name: "xen1", Bridges: []lab.BridgeOptions{bonded, {Name: "xapi9"}}})
			b := labtest.Host(t, l, lab.HostOptions{Name: "xen2", Bridges: []lab.BridgeOptions{plain}})
			vm1 := labtest.VM(t, a, lab.VMOptions{Name: "vm1", Bridge: "xapi1", IPv4: addr4(1)})
			vm2 := labtest.VM(t, b, lab.VMOptions{Name: "vm2", Bridge: "xapi7", IPv4: addr4(2)})
			other := labtest.VM(t, a, lab.VMOptions{Name: "other", Bridge: "xapi2", IPv4: addr4(3)})
			alone := labtest.VM(t, a, lab.VMOptions{Name: "alone", Bridge: "xapi9", IPv4: addr4(4)})
			wire, err := l.Capture(ctx, "vlan 42")
			must(t, err)
			must(t, vm1.Ping(ctx, vm2.IPv4()))
			must(t, l.Controller().Ping(ctx, a.Addr))
			if _, err := wire.WaitFor(ctx, func(p lab.Packet) bool { return p.IPSrc == vm2.IPv4() && p.Tags[0] == 42 }); err != nil {
				t.Error(err)
			}
			for _, vm := range []*lab.VM{other, alone} {
				if got, err := vm.PingCount(ctx, vm2.IPv4(), lab.PingOptions{Count: 3}); err != nil || got.Received != 0 {
					t.Errorf("from another network: %+v, %v", got, err)
				}
			}
			expect(ctx, t, a, "42", "get", "Port", vm1.VIF().Port(), "tag")
			expect(ctx, t, a, "true", "get", "Port", "xapi1", "fake_bridge")
			expect(ctx, t, a, mode, "get", "Port", "bond0", "bond_mode")
			expect(ctx, t, a, `"vlan2;parent"`, "get", "Bridge", "xapi0", "external_ids:xs-network-uuids")
			expect(ctx, t, a, "netdev", "get", "Bridge", "xapi0", "datapath_type")
			expect(ctx, t, a, "xapi0\nxapi1\nxapi2\nxapi9", "list-br")
			must(t, l.PartitionHost(ctx, a))
			must(t, l.HealHost(ctx, a))
			must(t, vm1.Ping(ctx, vm2.IPv4()))
		})
	}
}

// expect compares what ovs-vsctl prints.
func expect(ctx context.Context, t *testing.T, h *lab.Host, want string, args ...string) {
	t.Helper()
	got, err := h.Vsctl(ctx, args...)
	if err != nil || strings.TrimSpace(got) != want {
		t.Errorf("ovs-vsctl %v: %q, %v; want %q", args, got, err, want)
	}
}

func TestVIFKeys(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "keys"})
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1", UUID: "7d1f3c0e-0000-4000-8000-000000000001"})
	vm1 := labtest.VM(t, h, lab.VMOptions{Name: "vm1", VIFUUID: "vif-1", VMUUID: "vm-1", NetworkUUID: "net-1", Tap: true})
	vm2 := labtest.VM(t, h, lab.VMOptions{Name: "vm2", IfaceID: "libvirt-1", VMUUID: "vm-2"})
	mac := vm1.MAC().String()
	keys := `{attached-mac="` + mac + `", xs-network-uuid=net-1, xs-vif-uuid=vif-1, xs-vm-uuid=vm-1}`
	for _, port := range []string{"vif1.0", "tap1.0"} {
		expect(ctx, t, h, keys, "get", "Interface", port, "external_ids")
	}
	expect(ctx, t, h, `{attached-mac="`+vm2.MAC().String()+`", iface-id=libvirt-1, vm-id=vm-2}`,
		"get", "Interface", "vif2.0", "external_ids")
	expect(ctx, t, h, `"`+h.UUID+`"`, "get", "Open_vSwitch", ".", "external_ids:system-id")
	second, err := vm1.AddVIF(ctx, lab.VIFOptions{Bridge: "xenbr0", IPv4: addr4(9)})
	must(t, err)
	if second.Port() != "vif1.1" {
		t.Errorf("the second VIF's port is %s", second.Port())
	}
	expect(ctx, t, h, "xenbr0", "port-to-br", "vif1.1")
	must(t, vm1.Unplug(ctx))
	expect(ctx, t, h, "eth0\nvif2.0", "list-ports", "xenbr0")
	must(t, vm1.Plug(ctx, h))
	expect(ctx, t, h, "eth0\ntap3.0\nvif2.0\nvif3.0\nvif3.1", "list-ports", "xenbr0")
	if err := vm1.Plug(ctx, h); err == nil {
		t.Error("plugged in twice")
	}
	must(t, vm1.Close(ctx))
	expect(ctx, t, h, "eth0\nvif2.0", "list-ports", "xenbr0")
}

func TestEmerResetAndOvsdbRestart(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "emer"})
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1", ManagerTarget: "ptcp:6640"})
	vm := labtest.VM(t, h, lab.VMOptions{Name: "vm1", IPv4: addr4(1)})
	must(t, dial(ctx, l, h))
	must(t, h.EmerReset(ctx))
	expect(ctx, t, h, "", "get-manager")
	if err := dial(ctx, l, h); err == nil {
		t.Error("the manager listens after emer-reset")
	}
	expect(ctx, t, h, `"`+vm.VIF().UUID+`"`, "get", "Interface", "vif1.0", "external_ids:xs-vif-uuid")
	must(t, h.SetManager(ctx, "ptcp:6640"))
	must(t, dial(ctx, l, h))
	must(t, h.RestartOvsdb(ctx))
	must(t, dial(ctx, l, h))
	expect(ctx, t, h, "ptcp:6640", "get-manager")
	labtest.VM(t, h, lab.VMOptions{Name: "vm2"}) // the switch follows the new database server
}

func dial(ctx context.Context, l *lab.Lab, h *lab.Host) error {
	conn, err := l.Controller().Dial(ctx, "tcp", h.Addr.String()+":6640")
	if err != nil {
		return err
	}
	return conn.Close()
}

// A host that dials speaks TLS with the files it was given, from its own address.
func TestActiveManagerOverTLS(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "tls"})
	key, cert := selfSigned(t)
	listener, err := l.Controller().Listen(ctx, "tcp", l.ControllerAddr().String()+":6640")
	must(t, err)
	defer func() { _ = listener.Close() }()
	ca := filepath.Join(l.Dir(), "bootstrapped.pem")
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1", TLS: lab.TLS{Key: key, Cert: cert, CA: ca, Bootstrap: true},
		ManagerTarget: "ssl:" + l.ControllerAddr().String() + ":6640"})
	pair, err := tls.LoadX509KeyPair(cert, key)
	must(t, err)
	// The first connection only brings the certificate; it is dropped by the host.
	for range 5 {
		conn, err := listener.Accept()
		must(t, err)
		if from := conn.RemoteAddr().String(); !strings.HasPrefix(from, h.Addr.String()+":") {
			t.Errorf("connected from %s", from)
		}
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert})
		must(t, server.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = server.Write([]byte(`{"method":"list_dbs","params":[],"id":1}`))
		if err == nil {
			reply := make([]byte, 256)
			n, _ := server.Read(reply)
			if strings.Contains(string(reply[:n]), "Open_vSwitch") {
				_ = server.Close()
				return
			}
		}
		_ = server.Close()
	}
	t.Error("the host did not answer over TLS")
}

// selfSigned writes a key and a certificate that is its own authority.
func selfSigned(t *testing.T) (keyFile, certFile string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	dir := t.TempDir()
	keyFile, certFile = filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	for file, block := range map[string]*pem.Block{
		keyFile:  {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
		certFile: {Type: "CERTIFICATE", Bytes: cert},
	} {
		must(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	return keyFile, certFile
}

func TestHostLeaves(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "leave"})
	a := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	b := labtest.Host(t, l, lab.HostOptions{Name: "xen2"})
	labtest.VM(t, a, lab.VMOptions{Name: "vm1", IPv4: addr4(1)})
	must(t, a.Close(ctx))
	if hosts := l.Hosts(); len(hosts) != 1 || hosts[0] != b {
		t.Errorf("hosts left: %v", hosts)
	}
	if got, err := l.Controller().PingCount(ctx, a.Addr, lab.PingOptions{}); err != nil || got.Received != 0 {
		t.Errorf("ping of a host that left: %+v, %v", got, err)
	}
	must(t, l.Controller().Ping(ctx, b.Addr))
	if left := look(t, l.ID()+"-vm"); len(left.namespaces) != 0 {
		t.Errorf("its VM stayed: %v", left.namespaces)
	}
}
