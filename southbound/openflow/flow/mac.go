package flow

import (
	"errors"
	"fmt"
	"net"
)

// ErrBadMAC says that a text is not a 48-bit Ethernet address.
var ErrBadMAC = errors.New("not a 48-bit Ethernet address (aa:bb:cc:dd:ee:ff)")

// MAC is a 48-bit Ethernet address. The zero value is 00:00:00:00:00:00.
type MAC [6]byte

// BroadcastMAC returns ff:ff:ff:ff:ff:ff.
func BroadcastMAC() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// ParseMAC reads an address in any of the forms of [net.ParseMAC] (colons,
// hyphens or dots; upper or lower case). It returns an error wrapping
// [ErrBadMAC] for anything else, 64-bit addresses included.
func ParseMAC(text string) (MAC, error) {
	hw, err := net.ParseMAC(text)
	if err != nil || len(hw) != 6 {
		return MAC{}, fmt.Errorf("%q: %w", text, ErrBadMAC)
	}
	return MAC(hw), nil
}

// String returns the address in lower case with colons.
func (m MAC) String() string {
	return string(m.appendText(make([]byte, 0, 17)))
}

// IsZero reports whether every bit is 0, which no station uses.
func (m MAC) IsZero() bool { return m == MAC{} }

// IsMulticast reports whether the group bit is set; broadcast is a group too.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

func (m MAC) appendText(b []byte) []byte {
	const digits = "0123456789abcdef"
	for i, octet := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[octet>>4], digits[octet&15])
	}
	return b
}
