package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// ConfigVariable names the file that holds the guest's [Config], among the words
// of the kernel's command line.
const ConfigVariable = "PWGUEST"

// controlNamespace holds the card that the agent listens on.
const controlNamespace = "lab-control"

// path is where the guest's programs are looked for.
const path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/share/openvswitch/scripts"

// Config is what a guest is told at its start.
type Config struct {
	// Hostname is the guest's name.
	Hostname string `json:"hostname"`
	// Dir is the machine's directory that the guest sees, and writes, by the same path.
	Dir string `json:"dir"`
	// Control is the address of the agent's card, with its prefix.
	Control netip.Prefix `json:"control"`
	// MTU is that of the first card, eth0, in bytes.
	MTU int `json:"mtu"`
	// NICs is how many cards there are beside eth0 and the agent's.
	NICs int `json:"nics,omitempty"`
	// Modules are loaded in this order.
	Modules []string `json:"modules"`
	// Hidden are programs that the guest does not have.
	Hidden []string `json:"hidden,omitempty"`
}

// Init is the guest's process 1: it builds the guest's file system, starts the
// agent, and from then on only reaps. It returns only when it fails.
func Init() error {
	text, err := os.ReadFile(os.Getenv(ConfigVariable))
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	var config Config
	if err := json.Unmarshal(text, &config); err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	for _, word := range []string{path, "HOME=/root", "LANG=C.UTF-8"} {
		name, value, _ := strings.Cut(word, "=")
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("guest: %w", err)
		}
	}
	if err := unix.Sethostname([]byte(config.Hostname)); err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	// The file systems first: the modules and the cards need them.
	for _, step := range []func(Config) error{mountAll, hide, loadModules, setUpLinks} {
		if err := step(config); err != nil {
			return err
		}
	}
	agent := exec.Command(filepath.Join(config.Dir, Program), "agent", config.Control.Addr().String())
	agent.Stdout, agent.Stderr = os.Stdout, os.Stderr
	if err := agent.Start(); err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	return reap(agent.Process.Pid)
}

// Program is the name of this program in the guest's directory.
const Program = "poolwire-guest"

// reap collects every process that ends, until the agent does.
func reap(agent int) error {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("guest: %w", err)
		}
		if pid == agent {
			return fmt.Errorf("guest: the agent ended with status %#x", int(status))
		}
	}
}

// mountAll covers what the guest must not share with the machine. The root itself
// is read-only. There is no overlay over hostfs, so /etc is copied.
func mountAll(config Config) error {
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("guest: /proc: %w", err)
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	// The modules' directory exists on the machine; its content only here.
	version := strings.TrimSpace(string(release))
	script := fmt.Sprintf(`set -e
mount -n -t sysfs sysfs /sys
mkdir -p /dev/shm /dev/pts
mount -n -t devpts devpts /dev/pts
for d in /dev/shm /tmp /lib/modules /var/log /var/lib/openvswitch; do mount -n -t tmpfs -o mode=1777 tmpfs $d; done
ln -s /usr/lib/uml/modules/%[1]s /lib/modules/%[1]s
mkdir /tmp/etc; mount -n -t tmpfs tmpfs /tmp/etc; cp -a /etc/. /tmp/etc; mount -n --move /tmp/etc /etc; rmdir /tmp/etc
mount -n -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns /run/openvswitch %[2]s
mount -n -t hostfs -o %[2]s hostfs %[2]s
`, version, config.Dir)
	return shell(script)
}

// hide takes programs away: what is left in their place cannot be executed.
func hide(config Config) error {
	for _, program := range config.Hidden {
		if err := unix.Mount("/dev/null", program, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("guest: hide %s: %w", program, err)
		}
	}
	return nil
}

func loadModules(config Config) error {
	out, err := exec.Command("modprobe", append([]string{"-a"}, config.Modules...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("guest: modprobe: %w: %s", err, out)
	}
	return nil
}

// setUpLinks gives the cards their names. Checksums are computed in software:
// the frames may reach a switch that passes them on as they are.
func setUpLinks(config Config) error {
	var others strings.Builder
	for n := range config.NICs {
		fmt.Fprintf(&others, "ip link set vec%[1]d name eth%[2]d\nip link set eth%[2]d mtu %[3]d\nethtool -K eth%[2]d tx off\nip link set eth%[2]d up\n", n+2, n+1, config.MTU)
	}
	return shell(fmt.Sprintf(`set -e
ip link set lo up
for f in default all; do
	echo 0 > /proc/sys/net/ipv6/conf/$f/accept_ra
	echo 0 > /proc/sys/net/ipv6/conf/$f/accept_dad
done
echo 0 > /proc/sys/net/ipv6/conf/default/dad_transmits
echo 0 > /proc/sys/net/ipv6/conf/default/router_solicitations
ip netns add %[1]s
ip link set vec1 netns %[1]s
ip -n %[1]s addr add %[2]s dev vec1
ip -n %[1]s link set vec1 up
ip link set vec0 name eth0
ip link set eth0 mtu %[3]d
ethtool -K eth0 tx off
ip link set eth0 up
%[4]s`, controlNamespace, config.Control, config.MTU, others.String()))
}

func shell(script string) error {
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("guest: %w: %s", err, out)
	}
	return nil
}

// ListenControl listens for the agent, in the namespace of its own card.
func ListenControl(addr netip.Addr) (net.Listener, error) {
	// The thread is not given back: it ends with this goroutine.
	type result struct {
		listener net.Listener
		err      error
	}
	results := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open(filepath.Join("/run/netns", controlNamespace))
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			results <- result{err: fmt.Errorf("guest: %w", err)}
			return
		}
		listener, err := net.Listen("tcp", netip.AddrPortFrom(addr, Port).String())
		results <- result{listener, err}
	}()
	r := <-results
	return r.listener, r.err
}
