package chaos

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// shortly is how long faults are injected when nothing else is asked for: time for most of them.
const shortly = 2 * time.Minute

// Under every fault there is, nothing acknowledged is lost, nothing is done twice, nothing
// stale is read, and watches miss nothing. POOLWIRE_CHAOS_DURATION and POOLWIRE_CHAOS_SEED
// say how long and which, POOLWIRE_CHAOS_FAULTS names the faults; `make chaos` sets them.
func TestChaos(t *testing.T) {
	cfg := Config{Bin: os.Getenv(binVariable), Duration: shortly, Seed: uint64(time.Now().UnixNano()), Faults: os.Getenv("POOLWIRE_CHAOS_FAULTS"), Log: t.Logf}
	if s := os.Getenv("POOLWIRE_CHAOS_DURATION"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Duration = d
	}
	if s := os.Getenv("POOLWIRE_CHAOS_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Seed = seed
	}
	t.Logf("seed %d, %v", cfg.Seed, cfg.Duration)
	figures, err := Run(t.Context(), cfg)
	t.Logf("figures:\n%s", figures)
	if err != nil {
		t.Fatal(err)
	}
}
