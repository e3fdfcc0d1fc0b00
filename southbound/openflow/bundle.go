package openflow

import (
	"encoding/binary"
	"fmt"

	"poolwire/southbound/openflow/flow"
)

// The ONF bundle extension for OpenFlow 1.3 (EXT-230) travels in experimenter
// messages of this organisation with these exp_types.
const (
	onfExperimenter     uint32 = 0x4f4e4600
	bundleControlType   uint32 = 2300
	bundleAddType       uint32 = 2301
	onfBundleFirstError uint16 = 2300
)

// Bundle control types (enum onf_bundle_ctrl_type).
const (
	bundleOpen         uint16 = 0
	bundleOpenReply    uint16 = 1
	bundleClose        uint16 = 2
	bundleCloseReply   uint16 = 3
	bundleCommit       uint16 = 4
	bundleCommitReply  uint16 = 5
	bundleDiscard      uint16 = 6
	bundleDiscardReply uint16 = 7
)

// bundleFlags are ATOMIC | ORDERED. Every message of a bundle must repeat those it was opened with.
const bundleFlags uint16 = 1<<0 | 1<<1

// bundleControlLen is the size of a bundle control message, bundleAddLen of
// everything before the embedded message of a bundle add.
const (
	bundleControlLen = 24
	bundleAddLen     = 24
)

// bundleSupport is what is known about a connection.
type bundleSupport uint8

const (
	bundlesUnknown bundleSupport = iota
	bundlesWork
	bundlesRefused
)

// appendBundleControl appends an ONFT_BUNDLE_CONTROL.
func appendBundleControl(b []byte, xid, bundle uint32, kind uint16) []byte {
	b = appendHeader(b, typeExperimenter, bundleControlLen, xid)
	b = binary.BigEndian.AppendUint32(b, onfExperimenter)
	b = binary.BigEndian.AppendUint32(b, bundleControlType)
	b = binary.BigEndian.AppendUint32(b, bundle)
	b = binary.BigEndian.AppendUint16(b, kind)
	return binary.BigEndian.AppendUint16(b, bundleFlags)
}

// appendBundleAdd appends an ONFT_BUNDLE_ADD_MESSAGE holding a flow mod. The
// embedded message must carry the same xid as the one around it.
func appendBundleAdd(b []byte, xid, bundle uint32, f *flow.Flow, cmd flow.Command) ([]byte, error) {
	start := len(b)
	b = appendHeader(b, typeExperimenter, 0, xid)
	b = binary.BigEndian.AppendUint32(b, onfExperimenter)
	b = binary.BigEndian.AppendUint32(b, bundleAddType)
	b = binary.BigEndian.AppendUint32(b, bundle)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, bundleFlags)
	b = f.AppendFlowMod(b, xid, cmd)
	length := len(b) - start
	if length == bundleAddLen || length > maxMessageLen { // a flow too large for a flow mod is not appended
		return b[:start], fmt.Errorf("%w: table %d priority %d", ErrFlowTooLarge, f.Table, f.Priority)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(length))
	return b, nil
}

// decodeBundleControl reads the body of an experimenter message that should be a
// bundle control reply.
func decodeBundleControl(body []byte) (bundle uint32, kind uint16, err error) {
	if len(body) < bundleControlLen-headerLen ||
		binary.BigEndian.Uint32(body) != onfExperimenter || binary.BigEndian.Uint32(body[4:]) != bundleControlType {
		return 0, 0, protocolErrorf("experimenter message of %d bytes, want a bundle control reply", headerLen+len(body))
	}
	return binary.BigEndian.Uint32(body[8:]), binary.BigEndian.Uint16(body[12:]), nil
}

// bundleReply ends an exchange on the given bundle control reply.
func bundleReply(bundle uint32, want uint16) func(message) (bool, error) {
	return expect(typeExperimenter, func(body []byte) error {
		id, kind, err := decodeBundleControl(body)
		if err == nil && (id != bundle || kind != want) {
			err = protocolErrorf("bundle control reply %d for bundle %d, want reply %d for bundle %d", kind, id, want, bundle)
		}
		return err
	})
}
