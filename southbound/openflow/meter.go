package openflow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// Multipart types of meters (section 7.3.5).
const (
	multipartMeterConfig   uint16 = 10
	multipartMeterFeatures uint16 = 11
)

// Commands and flags of OFPT_METER_MOD (section 7.3.4.5).
const (
	meterAdd    uint16 = 0
	meterModify uint16 = 1
	meterDelete uint16 = 2

	meterKbps   uint16 = 1 << 0
	meterPktps  uint16 = 1 << 1
	meterBurst  uint16 = 1 << 2
	meterStats  uint16 = 1 << 3
	meterDrop   uint16 = 1
	allMeters   uint32 = 0xffffffff
	errorMeters uint16 = 12 // OFPET_METER_MOD_FAILED
	meterExists uint16 = 1  // OFPMMFC_METER_EXISTS
)

// Meter is a meter with one band, which drops what is above the rate.
type Meter struct {
	ID uint32
	// Packets: Rate is in packets/s and Burst in packets; else kbit/s and kbit.
	Packets     bool
	Rate, Burst uint32
}

// MeterFeatures is what a switch can do with meters (section 7.3.5.14).
type MeterFeatures struct {
	// MaxMeters is the highest number of meters; 0: it has none.
	MaxMeters uint32
}

// MeterFeatures asks what the switch can do with meters.
func (s *Switch) MeterFeatures(ctx context.Context) (MeterFeatures, error) {
	var f MeterFeatures
	err := s.conn.multipart(ctx, multipartMeterFeatures, nil, func(part []byte) error {
		if len(part) != 16 {
			return protocolErrorf("meter features of %d bytes, want 16", len(part))
		}
		f.MaxMeters = binary.BigEndian.Uint32(part)
		return nil
	})
	return f, err
}

// SetMeters puts meters in place, new or changed, removes others, and returns when the
// switch has confirmed it. Meters take no part in bundles: set those that flows are about
// to name, and remove those that no flow names any more. Removing a meter removes the
// flows that name it. A switch does not mind when a meter to remove is not there.
//
// A *SwitchError is about the first meter that the switch refuses; the others of set are
// in place then, and nothing is removed.
func (s *Switch) SetMeters(ctx context.Context, set []Meter, remove []uint32) error {
	refused, err := s.meterMods(ctx, meterAdd, set)
	if err != nil {
		return err
	}
	var there []Meter
	for i, m := range set {
		if isMeterError(refused[i], meterExists) {
			there = append(there, m)
			delete(refused, i)
		}
	}
	changes, err := s.meterMods(ctx, meterModify, there)
	if err != nil {
		return err
	}
	if err := errors.Join(firstRefused(set, refused), firstRefused(there, changes)); err != nil {
		return err
	}
	gone := make([]Meter, len(remove))
	for i, id := range remove {
		gone[i].ID = id
	}
	if refused, err = s.meterMods(ctx, meterDelete, gone); err != nil {
		return err
	}
	return firstRefused(gone, refused)
}

// firstRefused is the error about the first meter that was refused, if any was.
func firstRefused(meters []Meter, refused map[int]error) error {
	for i, m := range meters {
		if refused[i] != nil {
			return fmt.Errorf("meter %d: %w", m.ID, refused[i])
		}
	}
	return nil
}

// meterMods gives one command for each meter and waits for the switch. refused has the
// answers to those that it did not take, by their index.
func (s *Switch) meterMods(ctx context.Context, command uint16, meters []Meter) (refused map[int]error, err error) {
	if len(meters) == 0 {
		return nil, nil
	}
	c := s.conn
	if err := c.acquire(ctx); err != nil {
		return nil, err
	}
	defer c.release()
	defer c.dropFree()
	xid := c.allocate(len(meters) + 1)
	barrier := xid + uint32(len(meters))
	refused = map[int]error{}
	e := newExchange(xid, barrier, func(m message) (bool, error) {
		switch m.kind {
		case typeError:
			answer, err := decodeError(m.body)
			if err != nil {
				return true, err
			}
			refused[int(m.xid-xid)] = answer
			return m.xid == barrier, answer
		case typeBarrierReply:
			return true, nil
		}
		return true, protocolErrorf("reply of type %d to meter mods", m.kind)
	})
	if err := c.register(e); err != nil {
		return nil, err
	}
	if err := c.streamMeters(ctx, command, meters, xid); err != nil {
		e.end(err)
	}
	return refused, c.wait(ctx, e)
}

// streamMeters sends the meter mods and the barrier, one chunk after the other.
func (c *conn) streamMeters(ctx context.Context, command uint16, meters []Meter, xid uint32) error {
	w := newChunks(c)
	for _, m := range meters {
		w.buf = append(w.buf, meterMod(xid, command, m)...)
		xid++
		if err := w.flushFull(ctx); err != nil {
			return err
		}
	}
	w.buf = append(w.buf, bare(typeBarrierRequest, xid)...)
	return w.flush(ctx)
}

func isMeterError(err error, code uint16) bool {
	var refused *SwitchError
	return errors.As(err, &refused) && refused.Type == errorMeters && refused.Code == code
}

// meterMod is an OFPT_METER_MOD.
func meterMod(xid uint32, command uint16, m Meter) []byte {
	const header, band = headerLen + 8, 16
	length := header
	if command != meterDelete {
		length += band
	}
	b := appendHeader(make([]byte, 0, length), typeMeterMod, length, xid)
	b = binary.BigEndian.AppendUint16(b, command)
	b = binary.BigEndian.AppendUint16(b, m.flags())
	b = binary.BigEndian.AppendUint32(b, m.ID)
	if command == meterDelete {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, meterDrop)
	b = binary.BigEndian.AppendUint16(b, band)
	b = binary.BigEndian.AppendUint32(b, m.Rate)
	b = binary.BigEndian.AppendUint32(b, m.Burst)
	return append(b, 0, 0, 0, 0)
}

func (m Meter) flags() uint16 {
	if m.Packets {
		return meterPktps | meterBurst | meterStats
	}
	return meterKbps | meterBurst | meterStats
}

// DumpMeters reads all meters. One that is not of the kind of Meter is given with rate 0:
// it differs from any that is wanted.
func (s *Switch) DumpMeters(ctx context.Context) ([]Meter, error) {
	var all []Meter
	body := append(binary.BigEndian.AppendUint32(nil, allMeters), 0, 0, 0, 0)
	err := s.conn.multipart(ctx, multipartMeterConfig, body, func(part []byte) error {
		meters, err := decodeMeters(part)
		all = append(all, meters...)
		return err
	})
	return all, err
}

// decodeMeters reads the body of an OFPMP_METER_CONFIG reply part (section 7.3.5.13).
func decodeMeters(body []byte) ([]Meter, error) {
	const header, band = 8, 16
	var all []Meter
	for len(body) > 0 {
		if len(body) < header {
			return nil, protocolErrorf("meter configuration of %d bytes", len(body))
		}
		length := int(binary.BigEndian.Uint16(body))
		if length < header || length > len(body) || length%8 != 0 {
			return nil, protocolErrorf("meter configuration of length %d in %d bytes", length, len(body))
		}
		m := Meter{ID: binary.BigEndian.Uint32(body[4:])}
		flags := binary.BigEndian.Uint16(body[2:])
		if rest := body[header:length]; len(rest) == band && binary.BigEndian.Uint16(rest) == meterDrop {
			m.Packets, m.Rate, m.Burst = flags&meterPktps != 0, binary.BigEndian.Uint32(rest[4:]), binary.BigEndian.Uint32(rest[8:])
		}
		all = append(all, m)
		body = body[length:]
	}
	return all, nil
}
