package cli

import (
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A preflight promises nothing of a host of which something is not known, and what is known comes first.
func TestCanJoin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		host *poolwirev1.PrivateNetworkHostStatus
		want [2]string
	}{
		{&poolwirev1.PrivateNetworkHostStatus{Ready: true}, [2]string{"yes", ""}},
		{&poolwirev1.PrivateNetworkHostStatus{Reason: "host is away"}, [2]string{"no", "host is away"}},
		{&poolwirev1.PrivateNetworkHostStatus{Unknown: "whether"}, [2]string{"not known yet", "whether"}},
		{&poolwirev1.PrivateNetworkHostStatus{Reason: "host is away", Unknown: "whether"}, [2]string{"no", "host is away"}},
	} {
		got := [2]string{}
		for _, c := range preflightColumns {
			switch c.title {
			case "CAN-JOIN":
				got[0] = c.value(tt.host)
			case "WHY-NOT":
				got[1] = c.value(tt.host)
			}
		}
		if got != tt.want {
			t.Errorf("%v: %q, want %q", tt.host, got, tt.want)
		}
	}
}
