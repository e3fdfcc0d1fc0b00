package raftstore

import (
	"cmp"
	"net/netip"
	"slices"
)

// canonicalAddresses brings addresses and prefixes into one form and order, each
// once: IPv4 first, host bits cleared, whole addresses without a length.
func canonicalAddresses(field string, in []string) ([]string, error) {
	prefixes := make([]netip.Prefix, len(in))
	for i, text := range in {
		p, ok := parseAddress(text)
		if !ok {
			return nil, &InvalidError{Field: field, Value: text, Reason: "is no IP address or prefix"}
		}
		prefixes[i] = p
	}
	prefixes = sortedPrefixes(prefixes)
	if err := checkCount(field, len(prefixes), maxMembers); err != nil {
		return nil, err
	}
	out := make([]string, len(prefixes))
	for i, p := range prefixes {
		out[i] = p.String()
		if p.IsSingleIP() {
			out[i] = p.Addr().String()
		}
	}
	return out, nil
}

// parseAddress reads an address or a prefix; host bits are cleared.
func parseAddress(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// sortedPrefixes sorts prefixes in place and leaves each once.
func sortedPrefixes(prefixes []netip.Prefix) []netip.Prefix {
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits())
	})
	return slices.Compact(prefixes)
}

// sortedOnce returns the values in order, each once.
func sortedOnce(values []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(values)))
}
