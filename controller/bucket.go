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
