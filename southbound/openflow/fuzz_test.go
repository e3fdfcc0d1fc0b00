package openflow

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

func seeds(f *testing.F, texts ...string) {
	f.Helper()
	for _, text := range texts {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

func FuzzHello(f *testing.F) {
	seeds(f, "", "0001000800000072", "000900060102ffff0001000800000010", "00020000", "00010004")
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := helloOffers13(message{version: 6, body: body})
		if err != nil && !isViolation(err) {
			t.Errorf("%v is no protocol error", err)
		}
	})
}

func FuzzError(f *testing.F) {
	seeds(f, "000b0000", "ffff09094f4e4600", "00000000414243", "ffff")
	f.Fuzz(func(_ *testing.T, body []byte) {
		if e, err := decodeError(body); err == nil {
			_ = e.Error()
		}
	})
}

func FuzzFeatures(f *testing.F) {
	f.Add(make([]byte, 24))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := decodeFeatures(body); (err == nil) != (len(body) == 24) {
			t.Error(err)
		}
	})
}

func FuzzAggregate(f *testing.F) {
	f.Add(make([]byte, 24))
	f.Fuzz(func(t *testing.T, part []byte) {
		if _, err := decodeAggregate(part); err != nil && !isViolation(err) {
			t.Errorf("%v is no protocol error", err)
		}
	})
}

func FuzzMeters(f *testing.F) {
	f.Add([]byte{0, 24, 0, 1, 0, 0, 0, 7, 0, 1, 0, 16, 0, 0, 0, 10, 0, 0, 0, 10, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		if meters, err := decodeMeters(body); err == nil && 8*len(meters) > len(body) {
			t.Errorf("%d meters in %d bytes", len(meters), len(body))
		}
	})
}

func FuzzPacketIn(f *testing.F) {
	f.Add(append([]byte{0, 0, 0, 0, 0, 60, 1, 48, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 4, 0, 0, 0, 0, 0, 0}, make([]byte, 5000)...))
	f.Add([]byte{0, 0, 0, 0, 0, 60, 1, 48, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 12, 0x80, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := decodePacketIn(body); err == nil && len(p.Data) > min(len(body), maxPacketInData) {
			t.Errorf("%d bytes of data in %d bytes", len(p.Data), len(body))
		}
	})
}

func FuzzPorts(f *testing.F) {
	f.Add(make([]byte, 2*portLen))
	f.Fuzz(func(t *testing.T, body []byte) {
		if ports, err := decodePorts(body); err == nil && len(ports)*portLen != len(body) {
			t.Errorf("%d ports in %d bytes", len(ports), len(body))
		}
	})
}

func FuzzRepliesWithHeaders(f *testing.F) {
	seeds(f, "000d000100000000", "4f4e4600000008fc0000000500050003", "000000020000000000000000000000ff")
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, _, part, err := decodeMultipart(body); err == nil && len(part) != len(body)-multipartHeaderLen {
			t.Errorf("part of %d bytes in %d", len(part), len(body))
		}
		_, _, _ = decodeBundleControl(body)
		_, _ = decodeRoleReply(body)
	})
}

func FuzzFraming(f *testing.F) {
	f.Add(append(bare(typeBarrierReply, 1), withBody(typeEchoRequest, 2, []byte("abc"))...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := newFrameReader(bytes.NewReader(stream))
		read := 0
		for {
			m, err := r.next()
			if err != nil {
				break
			}
			read += headerLen + len(m.body)
		}
		if read > len(stream) {
			t.Errorf("%d bytes of messages in %d", read, len(stream))
		}
	})
}

// FuzzConnection gives a whole connection arbitrary bytes while requests of each
// kind wait for replies. Whatever comes, every request must end with the connection.
func FuzzConnection(f *testing.F) {
	f.Add(append(bare(typeBarrierReply, firstXid), bare(typeEchoRequest, 2)...))
	f.Add(multipartPart(firstXid+1, multipartPortDesc, 0, make([]byte, portLen)))
	f.Add(multipartPart(firstXid+1, multipartAggregate, 0, make([]byte, 24)))
	f.Add(multipartPart(firstXid+2, multipartFlow, replyMore, make([]byte, 56)))
	f.Add(withBody(typeError, firstXid+3, []byte{0, 11, 0, 0}))
	f.Add(withBody(typePortStatus, 0, make([]byte, 8+portLen)))
	f.Add(withBody(typePacketIn, 0, append(make([]byte, 17), 1, 0, 4, 0, 0, 0, 0, 0, 0)))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: controller\r\n\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		s := newSwitch(newConn(ours, newFrameReader(ours), ConnConfig{}.withDefaults()), features{}, nil)
		s.conn.start()
		s.EnablePacketIns()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Barrier(ctx) })
		wg.Go(func() { _, _ = s.Ports(ctx) })
		wg.Go(func() { _, _ = s.DumpFlows(ctx, FlowFilter{}) })
		wg.Go(func() { _, _ = s.CountFlows(ctx, FlowFilter{}) })
		wg.Go(func() { _ = s.SetRole(ctx, RoleMaster, 1) })
		wg.Go(func() { _ = s.SetMeters(ctx, []Meter{{ID: 1, Rate: 1}}, []uint32{2}) })
		wg.Go(func() { _, _ = s.DumpMeters(ctx) })
		_ = theirs.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = theirs.Write(stream)
		_ = theirs.Close()
		wg.Wait()
		s.conn.wg.Wait()
		if ctx.Err() != nil || s.Err() == nil {
			t.Errorf("connection ended with %v, requests with %v", s.Err(), ctx.Err())
		}
	})
}

func multipartPart(xid uint32, kind, flags uint16, part []byte) []byte {
	body := append([]byte{byte(kind >> 8), byte(kind), byte(flags >> 8), byte(flags), 0, 0, 0, 0}, part...)
	return withBody(typeMultipartReply, xid, body)
}
