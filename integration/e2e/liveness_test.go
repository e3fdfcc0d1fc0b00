package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"poolwire/integration/lab"
)

// alert waits until both ends of every tunnel of the hosts hear the other as often as they are meant to. When a path comes
// up, an end that is not up yet sends once in 750 to 1000 ms (RFC 5880 section 6.8.3), and the next packet that it has
// planned so is not brought forward when it comes up. Until that packet is there the other end, up already, takes three
// seconds instead of 300 ms to notice a loss, and neither that it is up nor Open vSwitch's bfd_status shows it.
func alert(t *testing.T, hosts ...*lab.Host) {
	t.Helper()
	for _, h := range hosts {
		eventually(t, func(ctx context.Context) error { return slow(ctx, h) })
	}
}

// slow tells which tunnels of a host with BFD are not up, or do not hear the far end at the interval that is configured.
func slow(ctx context.Context, h *lab.Host) error {
	out, err := h.Vsctl(ctx, "--bare", "--no-heading", "--columns=name,bfd", "find", "Interface", "bfd:enable=true")
	if err != nil {
		return err
	}
	name := ""
	for word := range strings.FieldsSeq(out) {
		key, value, pair := strings.Cut(word, "=")
		switch {
		case !pair:
			name = word
		case key == "min_rx":
			err = errors.Join(err, hearing(ctx, h, name, value))
		}
	}
	return err
}

// hearing tells whether one tunnel is up and hears the far end every so many milliseconds.
func hearing(ctx context.Context, h *lab.Host, tunnel, interval string) error {
	out, err := h.Appctl(ctx, "bfd/show", tunnel)
	if err != nil {
		return err
	}
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.TrimSpace(line))
	}
	for _, want := range []string{"Local Session State: up", "Remote Session State: up", "RX Interval: Approx " + interval + "ms"} {
		if !slices.Contains(lines, want) {
			return fmt.Errorf("%s on %s: not %q:\n%s", tunnel, h.ShortName, want, out)
		}
	}
	return nil
}
