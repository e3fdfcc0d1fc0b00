package openflow

import "encoding/binary"

// features is what OFPT_FEATURES_REPLY tells that is used here (section 7.3.1).
type features struct {
	datapathID  uint64
	tables      uint8
	auxiliaryID uint8
}

func decodeFeatures(body []byte) (features, error) {
	if len(body) != 24 {
		return features{}, protocolErrorf("features reply of %d bytes, want 32", headerLen+len(body))
	}
	return features{
		datapathID:  binary.BigEndian.Uint64(body),
		tables:      body[12],
		auxiliaryID: body[13],
	}, nil
}

// asyncPortStatusOnly asks for port status messages and nothing else: packets that flows of
// others send "to the controller" are not ours to look at, and a virtual machine could
// flood us with them.
func asyncPortStatusOnly(xid uint32) []byte { return setAsync(xid, 0) }

// setAsync returns the OFPT_SET_ASYNC (section 7.3.10) that asks for port status messages
// in either role, and for packet-ins of the given reasons in all roles but slave.
func setAsync(xid, packetIns uint32) []byte {
	body := make([]byte, 24)
	const addDeleteModify = 1<<0 | 1<<1 | 1<<2
	binary.BigEndian.PutUint32(body[0:], packetIns)        // packet_in_mask, master and equal
	binary.BigEndian.PutUint32(body[8:], addDeleteModify)  // port_status_mask, master and equal
	binary.BigEndian.PutUint32(body[12:], addDeleteModify) // port_status_mask, slave
	return withBody(typeSetAsync, xid, body)
}
