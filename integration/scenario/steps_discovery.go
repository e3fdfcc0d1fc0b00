package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"poolwire/integration/lab"
)

// jsonVif, jsonPif and jsonNetwork are what the steps read of the client's JSON.
type (
	jsonVif struct {
		UUID      string `json:"uuid"`
		MAC       string `json:"mac"`
		Locking   string `json:"effective_locking_mode"`
		Locations []struct {
			Host       string   `json:"host_name_label"`
			Bridge     string   `json:"bridge"`
			Interfaces []string `json:"interfaces"`
			OFPorts    []uint32 `json:"ofports"`
		} `json:"locations"`
	}
	jsonPif struct {
		Device  string `json:"device"`
		Bridge  string `json:"bridge"`
		MAC     string `json:"mac"`
		Carrier bool   `json:"carrier"`
	}
	jsonNetwork struct {
		Bridge string `json:"bridge"`
		VLAN   uint32 `json:"vlan"`
	}
)

// read runs the client with -o json and reads its answer.
func (w *World) read(ctx context.Context, into any, args ...string) error {
	out, err := w.Poolwire(ctx, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

// eventually repeats a look at the world until it is as expected; what the last
// look missed is the error.
func eventually(ctx context.Context, look func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func discovered(ctx context.Context, w *World) (string, error) {
	for i, host := range []string{"paris1", "paris2", "lyon1"} {
		if err := w.addVM(ctx, host, vmAt("web-"+host, "", 100+i)); err != nil {
			return "", err
		}
		if err := eventually(ctx, func() error { return w.isPlugged(ctx, w.vms["web-"+host], host) }); err != nil {
			return "", err
		}
		if err := w.pifsOf(ctx, host); err != nil {
			return "", err
		}
	}
	var networks []jsonNetwork
	if err := w.read(ctx, &networks, "network", "list", "--pool", "paris"); err != nil {
		return "", err
	}
	if !slices.Contains(networks, jsonNetwork{Bridge: "xenbr0"}) {
		return "", fmt.Errorf("%w: network xenbr0 in %v", errMissing, networks)
	}
	return "3 bridges, 3 PIFs, 3 VIFs", nil
}

// isPlugged checks what the client says of a VM's VIF against what the host's
// own database says.
func (w *World) isPlugged(ctx context.Context, vm *lab.VM, host string) error {
	vif := vm.VIF()
	var got jsonVif
	if err := w.read(ctx, &got, "vif", "show", vif.UUID); err != nil {
		return err
	}
	ofport, err := w.hosts[host].Vsctl(ctx, "get", "Interface", vif.Port(), "ofport")
	if err != nil {
		return err
	}
	want := fmt.Sprintf("%s %s %s %s %s", vif.UUID, vif.MAC, host, vif.Port(), strings.TrimSpace(ofport))
	have := got.UUID + " " + got.MAC
	for _, l := range got.Locations {
		have += fmt.Sprintf(" %s %s %d", l.Host, strings.Join(l.Interfaces, "+"), l.OFPorts)
	}
	if have = strings.NewReplacer("[", "", "]", "").Replace(have); have != want {
		return fmt.Errorf("VIF of %s: the client says %q, the host says %q", vm.ShortName, have, want)
	}
	return nil
}

// pifsOf checks a host's NIC against its own database.
func (w *World) pifsOf(ctx context.Context, host string) error {
	var pifs []jsonPif
	if err := w.read(ctx, &pifs, "pif", "list", "--host", host); err != nil {
		return err
	}
	mac, err := w.hosts[host].Vsctl(ctx, "get", "Interface", "eth0", "mac_in_use")
	if err != nil {
		return err
	}
	want := jsonPif{Device: "eth0", Bridge: "xenbr0", MAC: strings.Trim(strings.TrimSpace(mac), `"`), Carrier: true}
	if !slices.Contains(pifs, want) {
		return fmt.Errorf("%w: PIF %v in %v", errMissing, want, pifs)
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
