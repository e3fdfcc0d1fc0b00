package flow

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	of "github.com/contiv/libOpenflow/openflow13"
)

// ErrMalformed says that a switch sent something whose lengths do not add up.
// What follows in the same message cannot be read.
var ErrMalformed = errors.New("malformed OpenFlow")

const (
	// flowStatsHeaderLen is the length of an ofp_flow_stats up to its match.
	flowStatsHeaderLen = 48
	// minFlowStatsLen is that of an entry that matches everything and drops.
	minFlowStatsLen = flowStatsHeaderLen + 8
)

// DecodeStats reads the body of one part of an OFPMP_FLOW reply: the entries
// after the multipart header (OpenFlow 1.3 section 7.3.5.2). Matches come back
// canonical. Match fields, instructions and actions that this package does not
// know are kept as they are. When lengths do not add up it returns an error
// that wraps [ErrMalformed], and no entries.
//
// The entries of one call share memory: keeping one keeps all.
func DecodeStats(body []byte) ([]Stats, error) {
	stats := make([]Stats, 0, len(body)/96)
	// Matches are rewritten into this buffer and cut out of it once it has stopped moving.
	canonical := make([]byte, 0, len(body)/2)
	ends := make([]int, 0, cap(stats))
	kept := string(body)
	for offset := 0; offset < len(body); {
		entry, err := sliceEntry(body[offset:])
		if err != nil {
			return nil, fmt.Errorf("flow stats at byte %d: %w", offset, err)
		}
		tlvs, instructionsAt, err := splitMatch(entry)
		if err != nil {
			return nil, fmt.Errorf("flow stats at byte %d: %w", offset, err)
		}
		if err := checkInstructions(entry[instructionsAt:]); err != nil {
			return nil, fmt.Errorf("flow stats at byte %d: %w", offset, err)
		}
		canonical = appendCanonical(canonical, tlvs)
		ends = append(ends, len(canonical))
		stats = append(stats, decodeFixed(entry))
		stats[len(stats)-1].Instructions = Instructions(kept[offset+instructionsAt : offset+len(entry)])
		offset += len(entry)
	}
	matches, start := string(canonical), 0
	for i, end := range ends {
		stats[i].Match = Match(matches[start:end])
		start = end
	}
	return stats, nil
}

// sliceEntry cuts the first entry off by its own length.
func sliceEntry(b []byte) ([]byte, error) {
	if len(b) < minFlowStatsLen {
		return nil, fmt.Errorf("%w: %d bytes left, an entry has at least %d", ErrMalformed, len(b), minFlowStatsLen)
	}
	n := int(binary.BigEndian.Uint16(b))
	if n < minFlowStatsLen || n > len(b) {
		return nil, fmt.Errorf("%w: entry of %d bytes, %d left", ErrMalformed, n, len(b))
	}
	return b[:n:n], nil
}

// splitMatch returns the TLVs of the entry's match and where its instructions start.
func splitMatch(entry []byte) (tlvs []byte, instructionsAt int, err error) {
	match := entry[flowStatsHeaderLen:]
	kind, n := binary.BigEndian.Uint16(match), int(binary.BigEndian.Uint16(match[2:]))
	if kind != of.MatchType_OXM {
		return nil, 0, fmt.Errorf("%w: match type %d", ErrMalformed, kind)
	}
	if n < matchHeaderLen || paddedMatchLen(n-matchHeaderLen) > len(match) {
		return nil, 0, fmt.Errorf("%w: match of %d bytes, %d left", ErrMalformed, n, len(match))
	}
	tlvs = match[matchHeaderLen:n]
	if err := checkTLVs(tlvs); err != nil {
		return nil, 0, err
	}
	return tlvs, flowStatsHeaderLen + paddedMatchLen(len(tlvs)), nil
}

func checkTLVs(b []byte) error {
	for len(b) > 0 {
		if len(b) < oxmHeaderLen || len(b) < oxmHeaderLen+int(b[3]) {
			return fmt.Errorf("%w: match field runs past the match", ErrMalformed)
		}
		b = b[oxmHeaderLen+int(b[3]):]
	}
	return nil
}

// checkInstructions checks the framing of the list, not what is in it.
func checkInstructions(b []byte) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return fmt.Errorf("%w: instruction of %d bytes", ErrMalformed, len(b))
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < 8 || n > len(b) {
			return fmt.Errorf("%w: instruction of %d bytes, %d left", ErrMalformed, n, len(b))
		}
		b = b[n:]
	}
	return nil
}

// decodeFixed reads the part of an ofp_flow_stats before its match.
func decodeFixed(entry []byte) Stats {
	seconds := time.Duration(binary.BigEndian.Uint32(entry[4:]))
	nanoseconds := time.Duration(binary.BigEndian.Uint32(entry[8:]))
	return Stats{
		Flow: Flow{
			Table:       entry[2],
			Priority:    binary.BigEndian.Uint16(entry[12:]),
			IdleTimeout: binary.BigEndian.Uint16(entry[14:]),
			HardTimeout: binary.BigEndian.Uint16(entry[16:]),
			Flags:       binary.BigEndian.Uint16(entry[18:]),
			Cookie:      binary.BigEndian.Uint64(entry[24:]),
		},
		Duration: seconds*time.Second + nanoseconds,
		Packets:  binary.BigEndian.Uint64(entry[32:]),
		Bytes:    binary.BigEndian.Uint64(entry[40:]),
	}
}

// ParseMatch reads the TLVs of an ofp_match (what follows its type and length,
// without padding) and returns them in canonical form.
func ParseMatch(tlvs []byte) (Match, error) {
	if err := checkTLVs(tlvs); err != nil {
		return "", err
	}
	return Match(appendCanonical(make([]byte, 0, len(tlvs)), tlvs)), nil
}

// ParseInstructions checks that an instruction list can be walked and keeps it as it is.
func ParseInstructions(list []byte) (Instructions, error) {
	if err := checkInstructions(list); err != nil {
		return "", err
	}
	return Instructions(list), nil
}

// oxmHeaderLen is the length of an OXM header: class, field and mask bit, length of the rest.
const oxmHeaderLen = 4

// tlv is one OXM TLV of a match that was checked before.
type tlv []byte

func (t tlv) field() Field {
	return Field(binary.BigEndian.Uint32(t) >> 9)
}

func (t tlv) masked() bool { return t[2]&1 != 0 }

// appendCanonical appends the TLVs, which must have been checked, in canonical form.
func appendCanonical(dst, tlvs []byte) []byte {
	var room [24]tlv
	list := room[:0]
	sorted := true
	for len(tlvs) > 0 {
		n := oxmHeaderLen + int(tlvs[3])
		t := tlv(tlvs[:n:n])
		if len(list) > 0 && list[len(list)-1].field().order() > t.field().order() {
			sorted = false
		}
		list = append(list, t)
		tlvs = tlvs[n:]
	}
	if !sorted {
		slices.SortStableFunc(list, func(a, b tlv) int { return cmp.Compare(a.field().order(), b.field().order()) })
	}
	for _, t := range list {
		dst = t.appendCanonical(dst)
	}
	return dst
}

// appendCanonical appends one TLV: without its mask if that selects all bits,
// not at all if it selects none, else with the other bits of the value zeroed.
// Fields that are not known, or not of the length they should have, stay as
// they are: of tun_metadata, for one, even a mask of zeroes means something.
func (t tlv) appendCanonical(dst []byte) []byte {
	payload := t[oxmHeaderLen:]
	info := lookupField(t.field())
	if !t.masked() || info == nil || len(payload) != 2*info.bytes() {
		return append(dst, t...)
	}
	n := len(payload) / 2
	value, mask := payload[:n], payload[n:]
	switch {
	case coversAll(mask, info.significantBits()):
		dst = append(dst, t[0], t[1], t[2]&^1, byte(n))
		return append(dst, value...)
	case allZero(mask):
		return dst
	}
	dst = append(dst, t[:oxmHeaderLen]...)
	for i := range value {
		dst = append(dst, value[i]&mask[i])
	}
	return append(dst, mask...)
}

// coversAll reports whether the low bits of mask, that many, are all ones.
func coversAll(mask []byte, significant int) bool {
	for i := len(mask) - 1; i >= 0 && significant > 0; i-- {
		want := byte(0xff)
		if significant < 8 {
			want = 1<<significant - 1
		}
		if mask[i]&want != want {
			return false
		}
		significant -= 8
	}
	return true
}
