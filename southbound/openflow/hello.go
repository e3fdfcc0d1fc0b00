package openflow

import "encoding/binary"

// helloVersionBitmap is OFPHET_VERSIONBITMAP, the only hello element there is (section 7.5.1).
const helloVersionBitmap uint16 = 1

// helloLimit bounds the first message: sixteen words of version bitmap and some unknown elements.
const helloLimit = 1024

// hello returns our OFPT_HELLO: version 1.3 in the header and alone in the bitmap.
func hello(xid uint32) []byte {
	b := appendHeader(nil, typeHello, headerLen+8, xid)
	b = binary.BigEndian.AppendUint16(b, helloVersionBitmap)
	b = binary.BigEndian.AppendUint16(b, 8)
	return binary.BigEndian.AppendUint32(b, 1<<version13)
}

// helloOffers13 applies the negotiation rule of section 6.3.1: with two bitmaps
// a common bit decides, otherwise the lower of the two header versions. Unknown
// elements are skipped; a malformed one is a *ProtocolError.
func helloOffers13(m message) (bool, error) {
	body := m.body
	for len(body) > 0 {
		if len(body) < 4 {
			return false, protocolErrorf("hello with %d stray bytes", len(body))
		}
		kind, length := binary.BigEndian.Uint16(body), int(binary.BigEndian.Uint16(body[2:]))
		if length < 4 || length > len(body) {
			return false, protocolErrorf("hello element of length %d in %d bytes", length, len(body))
		}
		if kind == helloVersionBitmap {
			if length < 8 {
				return false, protocolErrorf("hello version bitmap of length %d", length)
			}
			return binary.BigEndian.Uint32(body[4:])&(1<<version13) != 0, nil
		}
		// Elements are padded to 8 bytes; the padding of the last one may be absent.
		body = body[min((length+7)&^7, len(body)):]
	}
	return m.version >= version13, nil
}

// helloFailed returns the OFPHFC_INCOMPATIBLE error that ends a negotiation.
func helloFailed(xid uint32) []byte {
	body := append([]byte{0, 0, 0, 0}, "only OpenFlow 1.3 (version 0x04) is supported"...)
	return withBody(typeError, xid, body)
}
