package controller

import (
	"time"

	"golang.org/x/time/rate"
)

// perSecond bounds how often something is done: as often each second, and at once.
func perSecond(n int) *rate.Limiter { return rate.NewLimiter(rate.Limit(n), n) }

// A host may report this much at once, and then so many changes a second: a host whose rows never rest must not fill
// the log of the cluster.
const (
	reportsAtOnce      = 64
	hostReportsASecond = 10
)

// maxShares is how many shares are remembered at once. A bridge has fewer ports; one that
// invents VIFs gets the share of all of them renewed, within what is bounded for all.
const maxShares = 4096

// shares are bounds by number, made when they are asked for.
type shares struct {
	perSecond int
	of        map[uint32]*rate.Limiter
}

// take takes one of a number's share, and reports whether there was one left.
func (s *shares) take(number uint32, now time.Time) bool {
	l := s.of[number]
	if l == nil {
		if s.of == nil || len(s.of) >= maxShares {
			s.of = map[uint32]*rate.Limiter{}
		}
		l = perSecond(s.perSecond)
		s.of[number] = l
	}
	return l.AllowN(now, 1)
}
