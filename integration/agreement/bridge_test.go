package agreement

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// bridge is the bridge of a real ovs-vswitchd that traces packets.
type bridge struct {
	vswitch *openflowtest.Vswitch
	control *unixctl
	// ports maps datapath port numbers, as text, to OpenFlow ports.
	ports map[string]uint32
	// configured is what configure has set.
	configured map[uint32]flowcompiler.PortConfig
	// meters are those that setMeters has set.
	meters map[uint32]flowcompiler.Meter
}

// startBridge starts a switch with ports 1 to n.
func startBridge(t testing.TB, n int) *bridge {
	t.Helper()
	v := openflowtest.StartVswitch(t, n)
	b := &bridge{vswitch: v, control: dialControl(t, v), ports: map[string]uint32{},
		configured: map[uint32]flowcompiler.PortConfig{}, meters: map[uint32]flowcompiler.Meter{}}
	// As on hosts: by default the switch sees no ports of first fragments either.
	v.Ofctl("set-frags", "nx-match")
	shown, err := b.control.call("dpif/show")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(\d+)/(\d+):`).FindAllStringSubmatch(shown, -1) {
		port, err := strconv.ParseUint(m[1], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		if port == 65534 {
			port = uint64(flow.PortLocal)
		}
		b.ports[m[2]] = uint32(port)
	}
	if len(b.ports) != n+1 {
		t.Fatalf("%d ports in:\n%s", len(b.ports), shown)
	}
	return b
}

// install makes the switch hold exactly these flows.
func (b *bridge) install(t testing.TB, flows iter.Seq[flow.Flow]) {
	t.Helper()
	var lines strings.Builder
	lines.WriteString("delete\n")
	for f := range flows {
		fmt.Fprintln(&lines, "add", f)
	}
	b.installText(t, lines.String())
}

// installText runs a bundle of flow mods in ovs-ofctl's notation.
func (b *bridge) installText(t testing.TB, lines string) {
	t.Helper()
	file := filepath.Join(b.vswitch.Dir(), "flows")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	b.vswitch.Run("ovs-ofctl", "-O", "OpenFlow14", "--bundle", "add-flows", b.vswitch.ManagementSocket(), file)
}

// trace asks the switch what becomes of a packet, states being what its connection
// tracker says each time it is asked.
func (b *bridge) trace(p walk.Packet, states []uint32) (traced, error) {
	var args []string
	for _, s := range states {
		args = append(args, "--ct-next", strings.ReplaceAll(walk.StateText(s), "|", ","))
	}
	text, err := b.control.call("ofproto/trace", append([]string{openflowtest.Bridge, p.Text()}, args...)...)
	if err != nil {
		return traced{}, err
	}
	return parseTrace(text, b.ports)
}

// dump reads the flows back from the switch, as it encodes them: a multipart request
// for all flows (OpenFlow 1.3 section 7.3.5.2) on a connection of its own.
func (b *bridge) dump(t testing.TB) []flow.Flow {
	t.Helper()
	conn := b.vswitch.Dial()
	defer func() { _ = conn.Close() }()
	const version, hello, multipartRequest, multipartReply, multipartFlow = 4, 0, 18, 19, 1
	request := []byte{version, hello, 0, 8, 0, 0, 0, 1, version, multipartRequest, 0, 56, 0, 0, 0, 2, 0, multipartFlow, 0, 0, 0, 0, 0, 0,
		flow.TableAll, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(request[10:], uint16(len(request)-8))
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	var flows []flow.Flow
	for {
		header := make([]byte, 8)
		if _, err := io.ReadFull(conn, header); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, binary.BigEndian.Uint16(header[2:])-8)
		if _, err := io.ReadFull(conn, body); err != nil {
			t.Fatal(err)
		}
		if header[1] == 1 {
			t.Fatalf("the switch says error %x", body)
		}
		if header[1] != multipartReply {
			continue
		}
		stats, err := flow.DecodeStats(body[8:])
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range stats {
			flows = append(flows, s.Flow)
		}
		if more := binary.BigEndian.Uint16(body[2:])&1 != 0; !more {
			return flows
		}
	}
}
