package flowcompiler

import "math/bits"

// portMask is a set of ports: those that are like value in the bits of mask.
type portMask struct{ value, mask uint16 }

// portMasks writes ranges as masks, the fewest that cover exactly them: at most 30 for one
// range. Nothing for no ranges.
func portMasks(ranges []PortRange) []portMask {
	var masks []portMask
	for _, r := range ranges {
		for first, last := uint32(r.First), uint32(r.Last); first <= last; {
			// The largest block that begins here is as long as the number is even, and must
			// not go beyond the end.
			size := uint32(1) << min(bits.TrailingZeros32(first|1<<16), bits.Len32(last-first+1)-1)
			masks = append(masks, portMask{uint16(first), uint16(-size)})
			first += size
		}
	}
	return masks
}
