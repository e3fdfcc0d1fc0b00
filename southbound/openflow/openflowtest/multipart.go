package openflowtest

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"poolwire/southbound/openflow/flow"
)

const (
	multipartAggregate     uint16 = 2
	multipartFlow          uint16 = 1
	multipartPortDesc      uint16 = 13
	multipartMeterConfig   uint16 = 10
	multipartMeterFeatures uint16 = 11
)

// multipart answers a request for flow statistics, port descriptions or meters.
func (c *Session) multipart(m Message) error {
	if len(m.Body) < 8 {
		return c.refuse(m, badRequest, badRequestLen)
	}
	kind := binary.BigEndian.Uint16(m.Body)
	if c.sw.cfg.MaxMeters == 0 && (kind == multipartMeterConfig || kind == multipartMeterFeatures) {
		return c.refuse(m, badRequest, badRequestMultipart)
	}
	switch kind {
	case multipartFlow, multipartAggregate:
		if len(m.Body) < 8+32 {
			return c.refuse(m, badRequest, badRequestLen)
		}
		if kind == multipartAggregate {
			return c.parts(m.XID, kind, [][]byte{c.sw.aggregate(m.Body[8:])})
		}
		return c.parts(m.XID, kind, c.sw.statistics(m.Body[8:]))
	case multipartPortDesc:
		return c.parts(m.XID, kind, c.sw.descriptions())
	case multipartMeterConfig:
		return c.parts(m.XID, kind, c.sw.meterConfigs())
	case multipartMeterFeatures:
		return c.parts(m.XID, kind, [][]byte{c.sw.meterFeatures()})
	}
	return c.refuse(m, badRequest, badRequestMultipart)
}

// parts packs items into reply parts; the last has no REPLY_MORE flag.
func (c *Session) parts(xid uint32, kind uint16, items [][]byte) error {
	for {
		body := make([]byte, 8, 1024)
		binary.BigEndian.PutUint16(body, kind)
		for len(items) > 0 && (len(body) == 8 || len(body)+len(items[0]) <= c.sw.cfg.PartBytes) {
			body = append(body, items[0]...)
			items = items[1:]
		}
		if len(items) > 0 {
			body[3] = 1
		}
		if err := c.Write(frame(msgMultipartReply, xid, body)); err != nil || len(items) == 0 {
			return err
		}
	}
}

// statistics lists the flows an ofp_flow_stats_request selects by table and cookie.
func (s *Switch) statistics(request []byte) [][]byte {
	table := request[0]
	cookie, mask := binary.BigEndian.Uint64(request[16:]), binary.BigEndian.Uint64(request[24:])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.Dumps++
	var items [][]byte
	for _, e := range s.flows {
		if (table == flow.TableAll || table == e.flow.Table) && (e.flow.Cookie^cookie)&mask == 0 {
			items = append(items, statsBytes(e))
		}
	}
	return items
}

// aggregate is the ofp_aggregate_stats_reply for the flows that an
// ofp_aggregate_stats_request selects by table and cookie.
func (s *Switch) aggregate(request []byte) []byte {
	table := request[0]
	cookie, mask := binary.BigEndian.Uint64(request[16:]), binary.BigEndian.Uint64(request[24:])
	s.mu.Lock()
	defer s.mu.Unlock()
	var packets, bytes uint64
	var count uint32
	for _, e := range s.flows {
		if (table == flow.TableAll || table == e.flow.Table) && (e.flow.Cookie^cookie)&mask == 0 {
			packets, bytes, count = packets+e.packets, bytes+e.bytes, count+1
		}
	}
	b := binary.BigEndian.AppendUint64(nil, packets)
	b = binary.BigEndian.AppendUint64(b, bytes)
	b = binary.BigEndian.AppendUint32(b, count)
	return append(b, 0, 0, 0, 0)
}

// statsBytes is one ofp_flow_stats.
func statsBytes(e entry) []byte {
	f, age := e.flow, time.Since(e.since)
	match := len(f.Match) + 4
	padded := (match + 7) &^ 7
	b := make([]byte, 48+padded, 48+padded+len(f.Instructions))
	binary.BigEndian.PutUint16(b, uint16(cap(b)))
	b[2] = f.Table
	binary.BigEndian.PutUint32(b[4:], uint32(age/time.Second))
	binary.BigEndian.PutUint32(b[8:], uint32(age%time.Second))
	binary.BigEndian.PutUint16(b[12:], f.Priority)
	binary.BigEndian.PutUint16(b[14:], f.IdleTimeout)
	binary.BigEndian.PutUint16(b[16:], f.HardTimeout)
	binary.BigEndian.PutUint16(b[18:], f.Flags)
	binary.BigEndian.PutUint64(b[24:], f.Cookie)
	binary.BigEndian.PutUint64(b[32:], e.packets)
	binary.BigEndian.PutUint64(b[40:], e.bytes)
	binary.BigEndian.PutUint16(b[48:], 1)
	binary.BigEndian.PutUint16(b[50:], uint16(match))
	copy(b[52:], f.Match)
	return append(b, f.Instructions...)
}

func (s *Switch) descriptions() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var items [][]byte
	for _, number := range slices.Sorted(maps.Keys(s.ports)) {
		items = append(items, portBytes(s.ports[number]))
	}
	return items
}
