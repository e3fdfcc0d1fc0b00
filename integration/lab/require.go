package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// ErrNotRoot is returned when the lab is used without root: it makes network
// namespaces and raw sockets.
var ErrNotRoot = errors.New("the lab needs root (it makes network namespaces)")

// MissingToolsError says which programs the lab needs and could not find.
type MissingToolsError struct {
	// Tools are "program (Debian package)" pairs.
	Tools []string
}

// Error names the programs and the Debian packages that hold them.
func (e *MissingToolsError) Error() string {
	return "the lab needs programs that are not installed: " + strings.Join(e.Tools, ", ")
}

// Require reports whether a lab can be built here: nil, [ErrNotRoot] or a
// [*MissingToolsError].
func Require() error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	tools := []struct{ program, pkg string }{
		{"ip", "iproute2"},
		{"bridge", "iproute2"},
		{"ethtool", "ethtool"},
		{"ping", "iputils-ping"},
		{"tcpdump", "tcpdump"},
		{"ovsdb-tool", "openvswitch-switch"},
		{"ovsdb-server", "openvswitch-switch"},
		{"ovs-vswitchd", "openvswitch-switch"},
		{"ovs-vsctl", "openvswitch-switch"},
		{"ovs-ofctl", "openvswitch-switch"},
		{"ovs-appctl", "openvswitch-switch"},
	}
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, fmt.Sprintf("%s (%s)", t.program, t.pkg))
		}
	}
	if len(missing) > 0 {
		return &MissingToolsError{Tools: missing}
	}
	return nil
}
