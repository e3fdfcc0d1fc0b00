package ovsdb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLabelsThatAreIgnoredAreNamed(t *testing.T) {
	t.Parallel()
	p := Port{ExternalIDs: map[string]string{
		"poolwire-label-app": "web", "poolwire-label-Bad_K": "x", "poolwire-label-": "x", "poolwire-label-v": "a b", "Bad": "x",
	}}
	want := []string{"poolwire-label-", "poolwire-label-Bad_K", "poolwire-label-v"}
	if diff := cmp.Diff(want, p.IgnoredLabels()); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
	many := Port{ExternalIDs: map[string]string{}}
	for i := range 1000 {
		many.ExternalIDs[fmt.Sprintf("poolwire-label-%s%04d", strings.Repeat("X", 50), i)] = "x"
	}
	if n := len(many.IgnoredLabels()); n != maxIgnoredLabels {
		t.Errorf("%d are named of a thousand", n)
	}
	if got := (Port{ExternalIDs: map[string]string{"poolwire-label-app": "web"}}).IgnoredLabels(); got != nil {
		t.Errorf("%q of nothing but labels", got)
	}
}
