package openflow_test

import (
	"encoding/binary"
	"net"
	"path/filepath"
	"testing"

	"poolwire/integration/fuzz/corpus"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
	"poolwire/southbound/openflow/portflags"
)

// Types and multipart types of the messages that seeds are made of (OpenFlow 1.3, sections A.1 and A.3.5).
const (
	ofHello, ofError, ofExperimenter, ofFeatures, ofPacketIn, ofPortStatus, ofMultipart, ofRole = 0, 1, 4, 6, 10, 12, 19, 25
	partFlow, partAggregate, partMeterConfig, partPorts                                         = 1, 2, 10, 13
	statsPorts10                                                                                = 13 // Nicira's, as in 1.3
	ofStats10                                                                                   = 17
)

// maxSeed is the longest seed: the fuzzer is slow with long ones, and git keeps them for ever.
const maxSeed = 8 << 10

// maxPart is the longest seed that is one message of several: flows are seeds of their own.
const maxPart = 2 << 10

// wire is a message as it came.
type wire []byte

func (m wire) kind() byte   { return m[1] }
func (m wire) body() []byte { return m[8:] }

// part is the type and the body of a multipart message.
func (m wire) part() (kind uint16, body []byte) {
	return binary.BigEndian.Uint16(m[8:]), m[16:]
}

// messages parts what a switch sent.
func messages(t *testing.T, stream []byte) (out []wire) {
	t.Helper()
	for len(stream) > 0 {
		if len(stream) < 8 || int(binary.BigEndian.Uint16(stream[2:])) > len(stream) {
			return out // the last one had not come whole
		}
		n := int(binary.BigEndian.Uint16(stream[2:]))
		out, stream = append(out, wire(stream[:n])), stream[n:]
	}
	return out
}

// TestRecordCorpus writes the seeds of the fuzz targets of this package, of flow and of portflags anew, from what a real switch
// sends: `make fuzz-corpus`.
func TestRecordCorpus(t *testing.T) {
	corpus.Recording(t)
	v := openflowtest.StartVswitch(t, 2)
	v.Ofctl("add-tlv-map", "{class=0xffff,type=0,len=4}->tun_metadata0,{class=0xffff,type=1,len=12}->tun_metadata5")
	v.Ofctl("add-group", "group_id=5,type=all,bucket=output:1")
	for _, id := range []string{"3", "5"} {
		v.Ofctl("add-meter", "meter="+id+",kbps,bands=type=drop,rate=1000")
	}
	for _, file := range []string{"matches.flows", "actions.flows"} {
		path, err := filepath.Abs(filepath.Join("flow", "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		v.Ofctl("add-flows", path)
	}
	stream := session13(t, v)
	seeds := map[string][][]byte{"FuzzFraming": {head(stream)}}
	dir := map[string]string{"FuzzDecodeStats": "flow"}
	afterHandshake := 0
	for _, m := range messages(t, stream) {
		target := ""
		switch m.kind() {
		case ofHello, ofFeatures:
			afterHandshake += len(m)
			target = map[byte]string{ofHello: "FuzzHello", ofFeatures: "FuzzFeatures"}[m.kind()]
		case ofError:
			target = "FuzzError"
		case ofPacketIn:
			target = "FuzzPacketIn"
		case ofExperimenter, ofRole:
			target = "FuzzRepliesWithHeaders"
		case ofMultipart:
			kind, body := m.part()
			target = map[uint16]string{partFlow: "FuzzDecodeStats", partAggregate: "FuzzAggregate", partMeterConfig: "FuzzMeters", partPorts: "FuzzPorts"}[kind]
			if target == "FuzzDecodeStats" {
				seeds[target] = append(seeds[target], entries(body)...)
			} else if target != "" {
				seeds[target] = append(seeds[target], body)
			}
			target = "FuzzRepliesWithHeaders"
		}
		if target != "" && len(m) < maxPart {
			seeds[target] = append(seeds[target], m.body())
		}
	}
	seeds["FuzzConnection"] = [][]byte{head(stream[afterHandshake:])}
	for target, inputs := range seeds {
		corpus.Replace(t, dir[target], target, inputs)
	}
	recordPortFlags(t, v)
}

// head is the beginning of a stream.
func head(stream []byte) []byte { return stream[:min(len(stream), maxSeed)] }

// entries parts flow statistics, a few flows in each part: each flow has a kind of match or action of its own.
func entries(body []byte) (out [][]byte) {
	const few = 10
	for n := 0; len(body) > 2; n++ {
		long := int(binary.BigEndian.Uint16(body))
		if n%few == 0 {
			out = append(out, nil)
		}
		last := &out[len(out)-1]
		*last, body = append(*last, body[:long]...), body[long:]
	}
	return out
}

// session13 has a switch say everything that it can be made to, and returns that.
func session13(t *testing.T, v *openflowtest.Vswitch) []byte {
	t.Helper()
	conn := &corpus.Conn{Conn: v.Dial()}
	sw, ctx := handshake(t, conn), testContext(t)
	sw.EnablePacketIns()
	up := flow.Flow{Table: 0, Priority: 60000, Cookie: ourCookie, Match: flow.NewMatch().InPort(1).Build(), Instructions: flow.Apply(flow.Output(flow.PortController))}
	refused := flow.Delta{Add: []flow.Flow{{Cookie: ourCookie, Match: flow.Match("\x80\x00\x1a\x02\x00\x50")}}}
	for _, err := range []error{
		sw.SetRole(ctx, openflow.RoleMaster, 1), sw.Apply(ctx, flow.Delta{Add: []flow.Flow{up}}),
		sw.SetMeters(ctx, []openflow.Meter{{ID: 1, Rate: 1000, Burst: 100}, {ID: 2, Packets: true, Rate: 10}}, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := sw.Apply(ctx, refused); err == nil {
		t.Fatal("a flow without prerequisites was accepted")
	}
	v.Appctl("netdev-dummy/receive", "p1", "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0806),arp(sip=192.0.2.1,tip=192.0.2.2,op=1,sha=50:54:00:00:00:05,tha=00:00:00:00:00:00)")
	select {
	case <-sw.PacketIns():
	case <-ctx.Done():
		t.Fatal("no packet comes up")
	}
	v.Vsctl("add-port", openflowtest.Bridge, "p9", "--", "set", "interface", "p9", "type=dummy", "ofport_request=9")
	select {
	case <-sw.PortEvents():
	case <-ctx.Done():
		t.Fatal("no port status")
	}
	if _, err := sw.Ports(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := sw.CountFlows(ctx, openflow.FlowFilter{Table: openflow.TableAll}); err != nil {
		t.Fatal(err)
	}
	if _, err := sw.DumpMeters(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := sw.DumpFlows(ctx, openflow.FlowFilter{Table: openflow.TableAll}); err != nil {
		t.Fatal(err)
	}
	return conn.Bytes()
}

func handshake(t *testing.T, conn net.Conn) *openflow.Switch {
	t.Helper()
	sw, err := openflow.Handshake(testContext(t), conn, openflow.ConnConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sw.Close(nil) })
	return sw
}

// recordPortFlags records a session of OpenFlow 1.0.
func recordPortFlags(t *testing.T, v *openflowtest.Vswitch) {
	t.Helper()
	conn, ctx := &corpus.Conn{Conn: v.Dial()}, testContext(t)
	s, err := portflags.Accept(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := s.Ports(ctx)
	if err != nil || len(ports) == 0 {
		t.Fatal(err)
	}
	if err := s.SetNoFlood(ctx, ports[0], true); err != nil {
		t.Fatal(err)
	}
	_ = s.SetNoFlood(ctx, portflags.Port{Number: 77}, true) // which it refuses
	stream := conn.Bytes()
	seeds, afterHandshake := map[string][][]byte{"FuzzReading": {head(stream)}}, 0
	for _, m := range messages(t, stream) {
		switch m.kind() {
		case ofHello, ofFeatures:
			afterHandshake += len(m)
			target := map[byte]string{ofHello: "FuzzHello", ofFeatures: "FuzzFeatures"}[m.kind()]
			seeds[target] = append(seeds[target], m.body())
		case ofError:
			seeds["FuzzError"] = append(seeds["FuzzError"], m.body())
		case ofStats10:
			seeds["FuzzPorts"] = append(seeds["FuzzPorts"], m.body())
		}
	}
	seeds["FuzzSession"] = [][]byte{head(stream[afterHandshake:])}
	for target, inputs := range seeds {
		corpus.Replace(t, "portflags", target, inputs)
	}
	s.Close(nil)
}

// The recorded seeds are what the decoders take: else fuzzing would begin far from what they look at.
func TestRecordedSeedsAreReached(t *testing.T) {
	t.Parallel()
	for name, input := range corpus.Recorded(t, "flow", "FuzzDecodeStats") {
		if stats, err := flow.DecodeStats(input); err != nil || len(stats) == 0 {
			t.Errorf("%s: %d flows, %v", name, len(stats), err)
		}
	}
	for _, target := range []string{"FuzzHello", "FuzzError", "FuzzFeatures", "FuzzPacketIn", "FuzzPorts", "FuzzMeters", "FuzzAggregate", "FuzzRepliesWithHeaders", "FuzzFraming", "FuzzConnection"} {
		corpus.Recorded(t, ".", target)
	}
	for _, target := range []string{"FuzzHello", "FuzzFeatures", "FuzzPorts", "FuzzSession", "FuzzReading"} {
		corpus.Recorded(t, "portflags", target)
	}
}
