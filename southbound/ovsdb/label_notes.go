package ovsdb

import "strings"

// maxIgnoredLabels bounds IgnoredLabels.
const maxIgnoredLabels = 8

// IgnoredLabels are keys among the port's own external_ids, in order and at most 8, that
// begin as those of labels do and are none: the key or the value is not made as labels
// are, or there are too many labels.
func (p Port) IgnoredLabels() []string {
	var out []string
	labels := labelsIn(p.ExternalIDs)
	for _, k := range names(p.ExternalIDs) {
		key, isLabel := strings.CutPrefix(k, KeyLabelPrefix)
		if _, taken := labels[key]; isLabel && !taken && len(out) < maxIgnoredLabels {
			out = append(out, k)
		}
	}
	return out
}
