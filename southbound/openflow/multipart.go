package openflow

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Multipart types (enum ofp_multipart_type, section 7.3.5).
const (
	multipartFlow      uint16 = 1
	multipartAggregate uint16 = 2
	multipartPortDesc  uint16 = 13
)

// replyMore is OFPMPF_REPLY_MORE: another part follows.
const replyMore uint16 = 1 << 0

// multipartHeaderLen is the part of ofp_multipart_request and _reply after the ofp_header.
const multipartHeaderLen = 8

// multipartRequest returns an OFPT_MULTIPART_REQUEST.
func multipartRequest(xid uint32, kind uint16, body []byte) []byte {
	b := appendHeader(nil, typeMultipartRequest, headerLen+multipartHeaderLen+len(body), xid)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, body...)
}

// decodeMultipart splits a reply part into its type, flags and body.
func decodeMultipart(body []byte) (kind, flags uint16, part []byte, err error) {
	if len(body) < multipartHeaderLen {
		return 0, 0, nil, protocolErrorf("multipart reply of %d bytes", headerLen+len(body))
	}
	return binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:]), body[multipartHeaderLen:], nil
}

// multipart sends a request and gives each part of the reply to each, in order,
// as it arrives: on the reader, so each must only decode. Nothing is held back;
// what bounds memory is MaxReply, because every decoded item has its wire bytes.
func (c *conn) multipart(ctx context.Context, kind uint16, body []byte, each func(part []byte) error) error {
	received := 0
	handle := func(m message) (bool, error) {
		if m.kind == typeError {
			return refusal(m)
		}
		if m.kind != typeMultipartReply {
			return true, protocolErrorf("reply of type %d to a multipart request", m.kind)
		}
		got, flags, part, err := decodeMultipart(m.body)
		if err != nil {
			return true, err
		}
		if got != kind {
			return true, protocolErrorf("multipart reply of type %d, want %d", got, kind)
		}
		if received += headerLen + len(m.body); received > c.cfg.MaxReply {
			return true, fmt.Errorf("%w: more than %d bytes", ErrReplyTooLarge, c.cfg.MaxReply)
		}
		if err := each(part); err != nil {
			return true, err
		}
		return flags&replyMore == 0, nil
	}
	return c.request(ctx, func(xid uint32) []byte { return multipartRequest(xid, kind, body) }, handle)
}
