package ovsdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// FuzzSession sends arbitrary bytes to a session: it must end with a reason, or
// go on until the peer hangs up, and never panic or hang. What it has taken in is
// discovered and planned on.
func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		"", "{", "{}", `{"id":null,"method":"echo","params":[]}`, `{"id":"e","method":"echo","params":[1,{"a":"}"}]}`,
		`{"id":1,"result":{},"error":null}`, update2Of(firstRows),
		update2Of(`{"Bridge":{"` + bridgeUUID + `":{"modify":{"external_ids":["map",[["a","b"]]],"ports":["set",[]]}}}}`),
		update2Of(`{"Port":{"`+rootUUID+`":{"insert":{"name":"p","tag":5,"trunks":["set",[1,2]],"interfaces":["uuid","`+rootUUID+`"]}}}}`) +
			update2Of(`{"Interface":{"`+rootUUID+`":{"insert":{"name":"tap1.0","ofport":-1,"mtu":1500,"status":["map",[["driver_name","tun"]]]}}}}`) +
			update2Of(`{"Bridge":{"`+bridgeUUID+`":{"modify":{"ports":["uuid","`+rootUUID+`"],"flow_tables":["map",[[3,["uuid","`+rootUUID+`"]]]]}}}}`),
		update2Of(`{"Bridge":{"` + bridgeUUID + `":{"delete":null}}}`),
		`{"id":null,"method":"update","params":["poolwire",{"Bridge":{"` + bridgeUUID + `":{"old":{},"new":{"name":"x"}}}}]}`,
		fullHost(),
	} {
		f.Add([]byte(seed))
	}
	sch, err := parseSchema(json.RawMessage(schemaText(f, nil)))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		st := newStore(sch, 1000, 1<<20)
		if _, err := st.requests(); err != nil {
			t.Fatal(err)
		}
		if _, err := st.apply(json.RawMessage(firstRows), formatUpdate2); err != nil {
			t.Fatal(err)
		}
		if err := feed(st, input); err == nil {
			t.Error("the input does not end")
		}
		snap := st.snapshot()
		Discover(snap)
		if ops, err := Plan(snap, typicalDesired()); err == nil && len(ops) == 0 {
			t.Error("nothing to do on a host where nothing of ours is")
		}
		if _, err := json.Marshal(Release(snap, ourCluster)); err != nil {
			t.Error(err)
		}
	})
}

// fullHost is an update with one port of each kind: a VIF with its tap, a tunnel with credentials and BFD, a patch, a fake
// bridge, a bond, and the bridge's own, under a controller.
func fullHost() string {
	row := func(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-0000000001%02d", n) }
	var ports, interfaces, all []string
	add := func(n int, port, name, columns string, members ...int) {
		for i, member := range append(members, n) {
			if len(members) > 0 && i == len(members) {
				break
			}
			interfaces = append(interfaces, fmt.Sprintf(`%q:{"insert":{"name":%q,"mac_in_use":"6e:0b:9e:72:ab:%02d","ofport":%d,%s}}`, row(member), name+strings.Repeat("x", i), member, member, columns))
			all = append(all, fmt.Sprintf(`["uuid",%q]`, row(member)))
		}
		ports = append(ports, fmt.Sprintf(`%q:{"insert":{"name":%q,"interfaces":["set",[%s]]%s}}`, row(n), name, strings.Join(all[len(all)-max(1, len(members)):], ","), port))
	}
	ids := `"external_ids":["map",[["xs-vif-uuid","v1"],["xs-vm-uuid","vm1"],["attached-mac","6e:0b:9e:72:ab:c6"],["poolwire-label-app","web"]]]`
	add(1, "", "br0", `"type":"internal","mtu":1500`)
	add(2, "", "vif1.0", ids+`,"mtu":["set",[]],"link_state":"up"`)
	add(3, "", "tap1.0", `"type":"system","status":["map",[["driver_name","tun"]]]`)
	add(4, `,"other_config":["map",[["xo:sdn-controller:private-network-uuid","n1"]]]`, "tun1", `"type":"vxlan","options":["map",[["remote_ip","192.0.2.1"],["key","7"],["psk","x"],["local_ip","::1"]]],`+
		`"bfd":["map",[["enable","true"]]],"bfd_status":["map",[["state","up"]]],"status":["map",[["tunnel_egress_iface","eth0"],["tunnel_egress_iface_carrier","up"]]]`)
	add(5, "", "patch1", `"type":"patch","options":["map",[["peer","patch2"]]]`)
	add(6, `,"tag":10,"fake_bridge":true,"external_ids":["map",[["fake-bridge-xs-network-uuids","n2"],["a","b"]]]`, "xapi1", `"type":"internal"`)
	add(7, `,"bond_active_slave":"6e:0b:9e:72:ab:08"`, "bond0", `"type":""`, 8, 9)
	return update2Of(fmt.Sprintf(`{"Interface":{%s},"Port":{%s},"Controller":{%q:{"insert":{"target":"ssl:192.0.2.9:6653","is_connected":true,"role":"master"}}},
		"Bridge":{%q:{"modify":{"ports":["set",[%s]],"controller":["uuid",%q]}}}}`, strings.Join(interfaces, ","), strings.Join(ports, ","), row(50),
		bridgeUUID, strings.Join(portRefs(row, 7), ","), row(50)))
}

func portRefs(row func(int) string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`["uuid",%q]`, row(i+1)))
	}
	return out
}

// The seed with a port of each kind is taken in whole: else fuzzing would begin far from what looks at ports.
func TestFullHostIsReached(t *testing.T) {
	t.Parallel()
	sch, err := parseSchema(json.RawMessage(schemaText(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	st := newStore(sch, 1000, 1<<20)
	if _, err := st.requests(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.apply(json.RawMessage(firstRows), formatUpdate2); err != nil {
		t.Fatal(err)
	}
	if err := feed(st, []byte(fullHost())); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	kinds := map[PortKind]int{}
	for _, p := range Discover(st.snapshot()).Ports {
		kinds[p.Kind]++
	}
	for _, kind := range []PortKind{PortVIF, PortTunnel, PortPatch, PortLocal, PortInternal, PortBondMember} {
		if kinds[kind] == 0 {
			t.Errorf("no port of kind %v: %v", kind, kinds)
		}
	}
}

// feed does with input what a session's reader does.
func feed(st *store, input []byte) error {
	frames := newFrameReader(bytes.NewReader(input), 1<<16)
	for {
		text, err := frames.next()
		if err != nil {
			return err
		}
		m, err := parseMessage(text)
		if err != nil {
			return err
		}
		if m.update != nil {
			if _, err := st.apply(m.update.tables, m.update.format); err != nil {
				return err
			}
		}
	}
}

// FuzzFrames: whatever a frame is, it is within bounds, and the frames of a
// stream do not depend on how it arrives.
func FuzzFrames(f *testing.F) {
	f.Add([]byte(`{"a":"}\"{"} {"b":[1,2,{}]}`+"\n{}"), 3)
	f.Add([]byte(`{"a":"\\"}{`), 1)
	f.Add([]byte(`{]}`), 2)
	f.Fuzz(func(t *testing.T, input []byte, chunk int) {
		const limit = 64
		collect := func(r io.Reader) (out []string, err error) {
			frames := newFrameReader(r, limit)
			for {
				text, err := frames.next()
				if err != nil {
					return out, err
				}
				if len(text) > limit {
					t.Fatalf("frame of %d bytes", len(text))
				}
				out = append(out, string(text))
			}
		}
		whole, err1 := collect(bytes.NewReader(input))
		parts, err2 := collect(&slowReader{data: input, chunk: chunk&7 + 1})
		if len(whole) != len(parts) {
			t.Fatalf("%q whole, %q in parts", whole, parts)
		}
		var hostile *ProtocolError
		if errors.As(err1, &hostile) != errors.As(err2, &hostile) {
			t.Fatalf("%v whole, %v in parts", err1, err2)
		}
	})
}

// slowReader gives a few bytes at a time.
type slowReader struct {
	data  []byte
	chunk int
}

func (s *slowReader) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.chunk)], s.data)
	s.data = s.data[n:]
	return n, nil
}

// FuzzSchema: a schema is refused or gives types that can be asked for.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(schemaText(f, nil)))
	f.Add([]byte(`{"name":"Open_vSwitch","version":"7.12.1","tables":{"Bridge":{"columns":{"name":{"type":{"key":"string","max":"unlimited"}}}}}}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		sch, err := parseSchema(input)
		if err != nil {
			return
		}
		if _, err := newStore(sch, 10, 1000).requests(); err != nil {
			var hostile *ProtocolError
			if !errors.As(err, &hostile) {
				t.Errorf("error %v", err)
			}
		}
	})
}

// FuzzTransactAnswer: an answer is an error or has a result per operation.
func FuzzTransactAnswer(f *testing.F) {
	for _, seed := range []string{`[{},{"count":1}]`, `[{"uuid":["uuid","` + rootUUID + `"]},{}]`, `[{"error":"timed out"},null]`, `[{},{},{"error":"x"}]`, "null"} {
		f.Add([]byte(seed))
	}
	ops := []Operation{{Op: opWait, Table: "A"}, {Op: "insert", Table: "B"}}
	f.Fuzz(func(t *testing.T, input []byte) {
		results, err := readResults(input, ops)
		if err == nil && len(results) != len(ops) {
			t.Errorf("%d results", len(results))
		}
	})
}

// FuzzIntroduction: what somebody who is not verified answers is a system-id of a bounded length, or an error.
func FuzzIntroduction(f *testing.F) {
	for _, seed := range []string{
		`[{"rows":[{"external_ids":["map",[["system-id","` + rootUUID + `"],["hostname","xcp1"]]]}]}]`, `[{"rows":[{"external_ids":["map",[]]}]}]`,
		`[{"rows":[]}]`, `[{"rows":[{},{}]}]`, `[{"error":"timed out","details":"x"}]`, `[null]`, `null`, `[{"rows":[{"external_ids":["set",["a"]]}]}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		id, err := systemIDIn(input)
		if (err == nil) != (id != "") || len(id) > maxSystemID {
			t.Errorf("system-id %q, error %v", id, err)
		}
	})
}
