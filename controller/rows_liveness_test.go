package controller

import (
	"strconv"
	"testing"
)

// A host sends no more than it may however many tunnels it has, and one tunnel more hardly ever changes what the others have.
func TestLivenessOfManyTunnels(t *testing.T) {
	t.Parallel()
	for tunnels, want := range map[int]string{0: "100", 1: "100", 100: "100", 101: "200", 200: "200", 201: "400", 1000: "1600"} {
		if got := liveness(tunnels)["min_tx"]; got != want {
			t.Errorf("with %d tunnels the interval is %s ms, want %s", tunnels, got, want)
		}
	}
	rewritten := 0
	for tunnels := 1; tunnels <= 1000; tunnels++ {
		now := liveness(tunnels)
		ms, err := strconv.Atoi(now["min_tx"])
		if err != nil || tunnels*1000 > ms*livenessPackets || now["min_rx"] != now["min_tx"] {
			t.Fatalf("with %d tunnels: %v", tunnels, now)
		}
		if now["min_tx"] != liveness(tunnels - 1)["min_tx"] {
			rewritten++
		}
	}
	if rewritten > 4 {
		t.Errorf("while tunnels come, one by one to 1000, all are rewritten %d times", rewritten)
	}
}
