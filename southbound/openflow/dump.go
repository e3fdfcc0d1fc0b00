package openflow

import (
	"context"
	"encoding/binary"

	"poolwire/southbound/openflow/flow"
)

// TableAll asks for every table (OFPTT_ALL).
const TableAll = flow.TableAll

// anyPort and anyGroup are OFPP_ANY and OFPG_ANY: no filter on what flows output to.
const (
	anyPort  uint32 = 0xffffffff
	anyGroup uint32 = 0xffffffff
)

// FlowFilter selects flows to read. The zero value means table 0, any cookie.
type FlowFilter struct {
	// Table is 0 to 254, or TableAll.
	Table uint8
	// Cookie and CookieMask select flows with (cookie & CookieMask) == Cookie.
	Cookie, CookieMask uint64
}

// body is an ofp_flow_stats_request that matches every packet (section 7.3.5.2).
func (f FlowFilter) body() []byte {
	b := []byte{f.Table, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, anyPort)
	b = binary.BigEndian.AppendUint32(b, anyGroup)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, f.Cookie)
	b = binary.BigEndian.AppendUint64(b, f.CookieMask)
	return append(b, 0, 1, 0, 4, 0, 0, 0, 0) // an empty OXM match, padded
}

// DumpFlows reads the flows that filter selects, in the switch's order. A reply
// that cannot be decoded ends the connection: what it stood for cannot be known.
func (s *Switch) DumpFlows(ctx context.Context, filter FlowFilter) ([]flow.Stats, error) {
	var all []flow.Stats
	err := s.eachFlow(ctx, filter, func(part []flow.Stats) {
		all = append(all, part...)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// eachFlow gives the flows of each reply part to use, on the reader.
func (s *Switch) eachFlow(ctx context.Context, filter FlowFilter, use func([]flow.Stats)) error {
	return s.conn.multipart(ctx, multipartFlow, filter.body(), func(part []byte) error {
		stats, err := flow.DecodeStats(part)
		if err != nil {
			return protocolErrorf("flow statistics: %v", err)
		}
		use(stats)
		return nil
	})
}

// CountFlows asks how many flows a filter selects, which costs either side next to nothing.
func (s *Switch) CountFlows(ctx context.Context, filter FlowFilter) (count uint32, err error) {
	err = s.conn.multipart(ctx, multipartAggregate, filter.body(), func(part []byte) (err error) {
		count, err = decodeAggregate(part)
		return err
	})
	return count, err
}

// decodeAggregate reads the count of an ofp_aggregate_stats_reply (section 7.3.5.3).
func decodeAggregate(part []byte) (uint32, error) {
	const countAt, length = 16, 24
	if len(part) != length {
		return 0, protocolErrorf("aggregate flow statistics of %d bytes", len(part))
	}
	return binary.BigEndian.Uint32(part[countAt:]), nil
}
