package openflow

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"poolwire/southbound/openflow/flow"
)

func TestHelloNegotiation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		version uint8
		body    string
		offered bool
		broken  bool
	}{
		{name: "bitmap with 1.3", version: 6, body: "0001000800000072", offered: true},
		{name: "bitmap without 1.3", version: 6, body: "0001000800000062"},
		{name: "bitmap below the header's version", version: 4, body: "0001000800000002"},
		{name: "no bitmap, 1.3", version: 4, offered: true},
		{name: "no bitmap, later", version: 6, offered: true},
		{name: "no bitmap, 1.0", version: 1},
		{name: "unknown element first", version: 6, body: "000900060102ffff" + "0001000800000010", offered: true},
		{name: "unknown element without its padding", version: 4, body: "0009000501", offered: true},
		{name: "two words of bitmap", version: 6, body: "0001000c0000001000000000", offered: true},
		{name: "element of length 0", version: 4, body: "00020000", broken: true},
		{name: "element longer than the message", version: 4, body: "00020009000000", broken: true},
		{name: "bitmap without bits", version: 4, body: "00010004", broken: true},
		{name: "stray bytes", version: 4, body: "000100", broken: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body, err := hex.DecodeString(test.body)
			if err != nil {
				t.Fatal(err)
			}
			offered, err := helloOffers13(message{version: test.version, body: body})
			if offered != test.offered || (err != nil) != test.broken {
				t.Errorf("offered %v, error %v", offered, err)
			}
		})
	}
}

func TestFraming(t *testing.T) {
	t.Parallel()
	stream := append(withBody(typeEchoRequest, 5, []byte("ab")), bare(typeBarrierReply, 6)...)
	stream = append(stream, withBody(typeMultipartReply, 7, bytes.Repeat([]byte{1}, maxMessageLen-headerLen))...)
	// One byte per read: a message arrives in as many pieces as it likes.
	f := newFrameReader(iotest.OneByteReader(bytes.NewReader(stream)))
	for _, want := range []message{{version13, typeEchoRequest, 5, []byte("ab")}, {version13, typeBarrierReply, 6, nil}} {
		m, err := f.next()
		if err != nil || m.kind != want.kind || m.xid != want.xid || !bytes.Equal(m.body, want.body) {
			t.Fatalf("read %+v, %v, want %+v", m, err, want)
		}
	}
	if m, err := f.next(); err != nil || len(m.body) != maxMessageLen-headerLen {
		t.Fatalf("largest message: %d bytes, %v", len(m.body), err)
	}
	if _, err := f.next(); !errors.Is(err, io.EOF) {
		t.Fatalf("at the end: %v", err)
	}
}

func TestFramingRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, stream string
		limit        int
		want         string
	}{
		{"length below the header's", "0402000700000001", maxMessageLen, "length 7"},
		{"length 0", "0402000000000001", maxMessageLen, "length 0"},
		{"other version", "0102000800000001", maxMessageLen, "version 0x01"},
		{"above the limit", "0402040100000001", 1024, "length 1025"},
		{"cut in the header", "04020008", maxMessageLen, "unexpected EOF"},
		{"cut before the body", "0402000a00000001", maxMessageLen, "unexpected EOF"},
		{"cut in the body", "0402000a0000000101", maxMessageLen, "unexpected EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			raw, err := hex.DecodeString(test.stream)
			if err != nil {
				t.Fatal(err)
			}
			f := newFrameReader(bytes.NewReader(raw))
			f.limit = test.limit
			if _, err := f.next(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestFramingGivesLargeBuffersBack guards the memory of idle connections.
func TestFramingGivesLargeBuffersBack(t *testing.T) {
	t.Parallel()
	stream := withBody(typeMultipartReply, 7, make([]byte, 60000))
	for range shrinkAfter {
		stream = append(stream, withBody(typeEchoRequest, 5, []byte("x"))...)
	}
	f := newFrameReader(bytes.NewReader(stream))
	for range shrinkAfter + 1 {
		if _, err := f.next(); err != nil {
			t.Fatal(err)
		}
	}
	if cap(f.buf) > keepBody {
		t.Errorf("still holds %d bytes", cap(f.buf))
	}
}

func TestDecodePorts(t *testing.T) {
	t.Parallel()
	raw := make([]byte, portLen)
	copy(raw, "\x00\x00\x00\x07pppp\x02\x00\x00\x00\x00\x09ppvif1.0\x00garbage")
	raw[35], raw[39], raw[59], raw[63] = 0x20, 0x04, 10, 20
	want := []Port{{Number: 7, Name: "vif1.0", MAC: flow.MAC{2, 0, 0, 0, 0, 9}, Config: PortNoForward, State: PortLive, CurrentSpeed: 10, MaxSpeed: 20}}
	got, err := decodePorts(raw)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := decodePorts(raw[:63]); !isViolation(err) {
		t.Errorf("63 bytes: %v", err)
	}
	if err := checkPortStatus(append(make([]byte, 8), raw...)); err != nil {
		t.Errorf("port status: %v", err)
	}
	if err := checkPortStatus(raw); !isViolation(err) {
		t.Errorf("short port status: %v", err)
	}
}

func TestDecodeError(t *testing.T) {
	t.Parallel()
	tests := []struct {
		body, want string
		stale      bool
		slave      bool
	}{
		{body: "000b0000", want: "OFPRRFC_STALE", stale: true},
		{body: "0001000a", want: "OFPBRC_IS_SLAVE", slave: true},
		{body: "ffff09094f4e4600", want: "OFPBFC_MSG_FAILED"},
		{body: "ffff000100002320", want: "experimenter 0x00002320 error 1"},
		{body: "00630001", want: "error type 99 code 1"},
		{body: "00040063", want: "error type 4 code 99"},
		{body: "00000000" + hex.EncodeToString([]byte("no\x00 \x1b[31mway")), want: "OFPHFC_INCOMPATIBLE: no [31mway"},
	}
	for _, test := range tests {
		body, err := hex.DecodeString(test.body)
		if err != nil {
			t.Fatal(err)
		}
		e, err := decodeError(body)
		if err != nil || !strings.HasSuffix(e.Error(), test.want) {
			t.Errorf("%s: %v, %v, want %s", test.body, e, err, test.want)
		}
		if errors.Is(e, ErrStaleGeneration) != test.stale || errors.Is(e, ErrSlave) != test.slave {
			t.Errorf("%s: stands for the wrong sentinel", test.body)
		}
	}
	for _, short := range []string{"", "000b00", "ffff0909", "ffff09094f4e46"} {
		body, _ := hex.DecodeString(short)
		if _, err := decodeError(body); !isViolation(err) {
			t.Errorf("error body %q: %v", short, err)
		}
	}
}

func TestTransactionIDsComeRound(t *testing.T) {
	t.Parallel()
	c := newConn(nil, nil, ConnConfig{}.withDefaults())
	c.nextXid = 0xfffffff0
	if first := c.allocate(15); first != 0xfffffff0 {
		t.Errorf("last range starts at %#x", first)
	}
	if first := c.allocate(1); first != 1 {
		t.Errorf("after the last id comes %#x", first)
	}
	c.nextXid = 0xfffffff0
	if first := c.allocate(100); first != 1 || c.nextXid != 101 {
		t.Errorf("a range that does not fit starts at %#x, next is %#x", first, c.nextXid)
	}
}
