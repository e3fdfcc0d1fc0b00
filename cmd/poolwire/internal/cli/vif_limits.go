package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// limitFlags are the limits on a VIF's rate.
type limitFlags struct {
	in, out, burst string
	kbps           uint64
}

func (f *limitFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.in, "limit-in", "", "limit on what is sent to the VM, in bit/s: 100M, 2.5G; 0 for none")
	p.StringVar(&f.out, "limit-out", "", "limit on what the VM sends, in bit/s; 0 for none")
	p.StringVar(&f.burst, "burst", "", "how much above the limits may pass at once, in bits: 8M; 0 lets the server choose")
	p.Uint64Var(&f.kbps, "kbps", 0, "XenServer's spelling of --limit-out, in kilobytes of 1024 bytes per second")
}

func (f *limitFlags) apply(c *cobra.Command, v *poolwirev1.Vif) ([]string, error) {
	given := func(flag string) bool { return c.Flags().Changed(flag) }
	if !given("limit-in") && !given("limit-out") && !given("burst") && !given("kbps") {
		return nil, nil
	}
	if given("limit-out") && given("kbps") {
		return nil, usageError{errors.New("--limit-out and --kbps: give one of them")}
	}
	q := &poolwirev1.Qos{
		InboundBps: v.GetQos().GetInboundBps(), InboundBurstBits: v.GetQos().GetInboundBurstBits(),
		OutboundBps: v.GetQos().GetOutboundBps(), OutboundBurstBits: v.GetQos().GetOutboundBurstBits(),
	}
	for _, limit := range []struct {
		flag, word string
		rate, size *uint64
	}{{"limit-in", f.in, &q.InboundBps, &q.InboundBurstBits}, {"limit-out", f.out, &q.OutboundBps, &q.OutboundBurstBits}} {
		if !given(limit.flag) {
			continue
		}
		n, err := parseBits("--"+limit.flag, limit.word)
		if err != nil {
			return nil, err
		}
		// A burst belongs to the limit it was given with.
		*limit.rate, *limit.size = n, 0
	}
	if given("kbps") {
		q.OutboundBps, q.OutboundBurstBits, q.Kbps = 0, 0, f.kbps
	}
	if given("burst") {
		if err := f.applyBurst(q, given("limit-in"), given("limit-out") || given("kbps")); err != nil {
			return nil, err
		}
	}
	v.Qos = q
	return []string{"qos"}, nil
}

// applyBurst sets the burst of the limits that were given with it, or of those
// there are.
func (f *limitFlags) applyBurst(q *poolwirev1.Qos, in, out bool) error {
	n, err := parseBits("--burst", f.burst)
	if err != nil {
		return err
	}
	either := in || out
	in = q.GetInboundBps() > 0 && (in || !either)
	out = q.GetOutboundBps()+q.GetKbps() > 0 && (out || !either)
	if !in && !out {
		return usageError{errors.New("--burst: there is no limit to go with it; give --limit-in or --limit-out")}
	}
	if in {
		q.InboundBurstBits = n
	}
	if out {
		q.OutboundBurstBits = n
	}
	return nil
}

// bitUnits are the suffixes of rates and sizes, powers of 1000.
const bitUnits = "kMGT"

// parseBits parses a number of bits, or of bits per second: 1500, 100M, 2.5G,
// also with "bit", "bit/s" or "bps" after it. "none" and nothing are 0.
func parseBits(flag, word string) (uint64, error) {
	if word == "" || word == "none" {
		return 0, nil
	}
	rest := strings.TrimSpace(word)
	for _, unit := range []string{"bit/s", "bps", "bit"} {
		if before, ok := strings.CutSuffix(rest, unit); ok {
			rest = strings.TrimSpace(before)
			break
		}
	}
	factor := 1.0
	if rest != "" {
		last := rest[len(rest)-1:]
		if last == "K" {
			last = "k"
		}
		if i := strings.Index(bitUnits, last); i >= 0 {
			factor, rest = math.Pow(1000, float64(i+1)), strings.TrimSpace(rest[:len(rest)-1])
		}
	}
	n, err := strconv.ParseFloat(rest, 64)
	if err != nil || n < 0 || math.IsNaN(n) || n*factor > 1e15 {
		return 0, usageError{fmt.Errorf("%s %q: use bits, as in 100M, 2.5G or 1500; 0 for none", flag, word)}
	}
	return uint64(math.Round(n * factor)), nil
}

// bitsText writes a number of bits with the largest unit that is exact.
func bitsText(n uint64) string {
	for i := len(bitUnits); i > 0; i-- {
		if unit := uint64(math.Pow(1000, float64(i))); n >= unit && n%unit == 0 {
			return fmt.Sprintf("%d%c", n/unit, bitUnits[i-1])
		}
	}
	return fmt.Sprint(n)
}

// limitsText writes the limits as the flags take them.
func limitsText(q *poolwirev1.Qos) string {
	one := func(way string, rate, burst uint64) string {
		if rate == 0 {
			return ""
		}
		text := fmt.Sprintf("%s %sbit/s", way, bitsText(rate))
		if burst > 0 {
			text += fmt.Sprintf(" burst %sbit", bitsText(burst))
		}
		return text
	}
	return joinSet(", ", one("in", q.GetInboundBps(), q.GetInboundBurstBits()), one("out", q.GetOutboundBps(), q.GetOutboundBurstBits()))
}
