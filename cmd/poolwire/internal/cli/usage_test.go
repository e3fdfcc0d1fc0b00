package cli

import (
	"fmt"
	"strings"
	"testing"
)

// Whatever refuses a value on the command line says it in one form: where it stood, the value in quotes, and what to use.
func TestRefusedValuesHaveOneForm(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ args, where, value string }{
		{"pool list --output xml", "--output", "xml"}, {"pool list --wait 1s", "--wait", "1s"}, {"pool list --timeout -1s", "--timeout", "-1s"},
		{"pool list --timeout soon", "--timeout", "soon"}, {"audit list --limit -1", "--limit", "-1"}, {"audit list --limit 4294967296", "--limit", "4294967296"},
		{"watch --from x", "--from", "x"}, {"audit list --since blah", "--since", "blah"}, {"policy show --vif x --at blah", "--at", "blah"},
		{"audit verify --expect-head 4711", "--expect-head", "4711"}, {"audit show x", "SEQ", "x"}, {"wait x", "REVISION", "x"},
		{"token create --role superman", "--role", "superman"}, {"token create --lifetime long", "--lifetime", "long"},
		{"access grant bob superman", "ROLE", "superman"}, {"access revoke bob superman", "ROLE", "superman"},
		{"pki issue client bob --role admin", "--role", "admin"}, {"pki list --kind x", "--kind", "x"}, {"pki list --all=x", "--all", "x"},
		{"rule add --allow --inbound --group g --confirm-within -1s", "--confirm-within", "-1s"},
	} {
		f := &fakeServer{}
		code, _, errs := f.run(t, strings.Fields(tc.args)...)
		if want := fmt.Sprintf("poolwire: %s %q: use ", tc.where, tc.value); code != exitUsage || !strings.HasPrefix(errs, want) || strings.Contains(errs, "strconv") {
			t.Errorf("%s: exit %d %q, want exit %d and %q", tc.args, code, errs, exitUsage, want)
		}
	}
}
