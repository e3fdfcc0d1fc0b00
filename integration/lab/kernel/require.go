package kernel

import (
	"fmt"
	"os"
	"os/exec"

	"poolwire/integration/lab"
)

// monitorProgram is Open vSwitch's IPsec daemon.
const monitorProgram = "/usr/share/openvswitch/scripts/ovs-monitor-ipsec"

// ipsecProgram starts and stops strongSwan.
const ipsecProgram = "/usr/sbin/ipsec"

// gcmPlugin is AES-GCM, the only cipher that Open vSwitch proposes. strongSwan's
// package only recommends the one that has it.
const gcmPlugin = "/usr/lib/ipsec/plugins/libstrongswan-gcm.so"

// Require reports whether kernel hosts can be built here: nil, or what
// [lab.Require] returns.
func Require() error {
	if err := lab.Require(); err != nil {
		return err
	}
	var missing []string
	for _, t := range []struct{ program, pkg string }{
		{"linux.uml", "user-mode-linux"},
		{monitorProgram, "openvswitch-ipsec"},
		{ipsecProgram, "strongswan"},
		{"modprobe", "kmod"},
		{"go", "the Go toolchain"},
	} {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, fmt.Sprintf("%s (%s)", t.program, t.pkg))
		}
	}
	if _, err := os.Stat(gcmPlugin); err != nil {
		missing = append(missing, gcmPlugin+" (libstrongswan-standard-plugins)")
	}
	if len(missing) > 0 {
		return &lab.MissingToolsError{Tools: missing}
	}
	return nil
}

// Main is the body of TestMain for packages whose tests use kernel hosts. Where
// they cannot be built it says why and skips the tests.
func Main(m interface{ Run() int }) int {
	if err := Require(); err != nil {
		fmt.Fprintln(os.Stderr, "SKIP: no kernel lab here (make deps-kernel):", err)
		return 0
	}
	return lab.Main(m)
}
