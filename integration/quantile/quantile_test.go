package quantile

import (
	"testing"
	"time"
)

func TestOf(t *testing.T) {
	t.Parallel()
	upTo := func(n int) (out []time.Duration) {
		for i := range n {
			out = append(out, time.Duration(n-i))
		}
		return out
	}
	for _, c := range []struct {
		n, percent int
		want       time.Duration
	}{
		{0, 50, 0}, {1, 1, 1}, {1, 50, 1}, {1, 100, 1}, {2, 50, 1}, {3, 50, 2}, {20, 95, 19}, {20, 96, 20}, {100, 99, 99}, {100, 1, 1}, {200, 99, 198},
	} {
		if got := Of(upTo(c.n), c.percent); got != c.want {
			t.Errorf("the %d%% of 1 to %d: %d, want %d", c.percent, c.n, got, c.want)
		}
	}
}
