package controller

import "time"

// bucket bounds how often something is done, by one goroutine, and never waits: what
// is over is left out. The zero bucket is full.
type bucket struct {
	// perSecond comes back every second; as much may be done at once.
	perSecond int
	used      float64
	at        time.Time
}

// take takes one, and reports whether there was one left.
func (b *bucket) take(now time.Time) bool {
	b.used = max(0, b.used-now.Sub(b.at).Seconds()*float64(b.perSecond))
	b.at = now
	if b.used+1 > float64(b.perSecond) {
		return false
	}
	b.used++
	return true
}

// maxShares is how many shares are remembered at once. A bridge has fewer ports; one that
// invents VIFs gets the share of all of them renewed, within what is bounded for all.
const maxShares = 4096

// shares are buckets by number, made when they are asked for.
type shares struct {
	perSecond int
	of        map[uint32]*bucket
}

// take takes one of a number's share, and reports whether there was one left.
func (s *shares) take(number uint32, now time.Time) bool {
	b := s.of[number]
	if b == nil {
		if s.of == nil || len(s.of) >= maxShares {
			s.of = map[uint32]*bucket{}
		}
		b = &bucket{perSecond: s.perSecond}
		s.of[number] = b
	}
	return b.take(now)
}
