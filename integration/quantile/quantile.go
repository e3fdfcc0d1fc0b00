// Package quantile says how long most of what was measured took, the same way in every figure
// that is printed.
package quantile

import (
	"slices"
	"time"
)

// Of is the smallest sample that percent in a hundred of all samples do not exceed (the
// nearest rank): of 20 samples the 95th percentile is the 19th, not the longest. percent is 1
// to 100; the samples may be in any order, and stay so. 0 without samples.
func Of(samples []time.Duration, percent int) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[(len(sorted)*percent+99)/100-1]
}
