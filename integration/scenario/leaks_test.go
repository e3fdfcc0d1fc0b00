package scenario

import "testing"

// The command that prints a secret is known also behind other flags.
func TestShowsSecret(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want bool
	}{
		{nil, false}, {[]string{"token"}, false}, {[]string{"token", "list"}, false}, {[]string{"create", "token"}, false},
		{[]string{"token", "create"}, true}, {[]string{"-o", "json", "token", "create", "--owner", "x"}, true}, {[]string{"--token-file", "f", "token", "create"}, true},
	} {
		if got := showsSecret(c.args); got != c.want {
			t.Errorf("%q: %v", c.args, got)
		}
	}
}
