package corpus

import (
	"bytes"
	"testing"
)

// What was kept comes back as it was, each once, and takes the place of what was there.
func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	Replace(t, dir, "FuzzX", [][]byte{[]byte("gone")})
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	inputs := [][]byte{all, {}, []byte("é\"`\\\n"), all}
	Replace(t, dir, "FuzzX", inputs)
	got := Recorded(t, dir, "FuzzX")
	if len(got) != 3 {
		t.Fatalf("%d seeds", len(got))
	}
	for _, want := range inputs {
		found := false
		for _, input := range got {
			found = found || bytes.Equal(input, want)
		}
		if !found {
			t.Errorf("%q is not kept", want)
		}
	}
}
