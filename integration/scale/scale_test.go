package scale

import (
	"os"
	"strconv"
	"testing"
)

// A cluster gets many hosts, loses its leader, and restarts as a whole, without a flow being
// changed. POOLWIRE_SCALE_HOSTS says how many hosts; `make scale` sets it, and prints figures.
func TestScale(t *testing.T) {
	t.Run("passive", func(t *testing.T) { scale(t, false) })
	t.Run("active", func(t *testing.T) { scale(t, true) })
}

func scale(t *testing.T, active bool) {
	cfg := Config{Bin: os.Getenv(binVariable), Dir: t.TempDir(), Hosts: 100, VIFs: 10, Few: 10, Active: active, Changes: 20, Kills: 1, Log: t.Logf}
	for name, field := range map[string]*int{
		"POOLWIRE_SCALE_HOSTS": &cfg.Hosts, "POOLWIRE_SCALE_VIFS": &cfg.VIFs, "POOLWIRE_SCALE_CHANGES": &cfg.Changes, "POOLWIRE_SCALE_KILLS": &cfg.Kills,
	} {
		if s := os.Getenv(name); s != "" {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 {
				t.Fatalf("%s: %q", name, s)
			}
			*field = n
		}
	}
	figures, err := Run(t.Context(), cfg)
	t.Logf("figures:\n%s", figures)
	if err != nil {
		t.Fatal(err)
	}
}
