package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"default", func(*Config) {}, ""},
		{"same address", func(c *Config) { c.Listen.Raft = c.Listen.API }, `listen.raft: "127.0.0.1:6700": want an address of its own: listen.api has 127.0.0.1:6700`},
		{"all addresses and one", func(c *Config) { c.Listen.Metrics = "127.0.0.1:6640" }, "listen.ovsdb has 0.0.0.0:6640"},
		{"the port after another", func(c *Config) { c.Listen.OpenFlow = ":6639" }, "listen.portflags has :6640"},
		{"no host and one", func(c *Config) { c.Listen.Raft = ":6700" }, "listen.api has"},
		{"other address", func(c *Config) { c.Listen.Raft = "192.0.2.1:6700" }, ""},
		{"any free port twice", func(c *Config) { c.Listen.Raft, c.Listen.API = "127.0.0.1:0", "127.0.0.1:0" }, ""},
		{"no metrics, no ovsdb", func(c *Config) { c.Listen.Metrics, c.Listen.OVSDB = "", "" }, ""},
		{"in plain on loopback", func(c *Config) { c.InsecureLoopback, c.Listen.Metrics = true, "[::1]:9654" }, ""},
		{"in plain on another address", func(c *Config) { c.InsecureLoopback, c.Listen.Metrics = true, "192.0.2.1:9654" },
			`listen.metrics: "192.0.2.1:9654": want a loopback address, as in 127.0.0.1:9654, or no insecure_loopback`},
		{"in plain on all addresses", func(c *Config) { c.InsecureLoopback, c.Listen.Metrics = true, ":9654" }, "insecure_loopback"},
		{"in plain on a name", func(c *Config) { c.InsecureLoopback, c.Listen.Metrics = true, "localhost:9654" }, "insecure_loopback"},
		{"in plain, but nothing there", func(c *Config) { c.InsecureLoopback, c.Listen.Metrics = true, "" }, ""},
		{"one directory", func(c *Config) { c.PKIDir = c.DataDir }, "pki_dir"},
		{"no API", func(c *Config) { c.Listen.API, c.API.Socket = "", "" }, "api.socket"},
		{"API on its socket only", func(c *Config) { c.Listen.API = "" }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Default()
			tt.change(&c)
			err := c.check()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDerive(t *testing.T) {
	t.Parallel()
	machine := []netip.Addr{
		netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("2001:db8::5"),
		netip.MustParseAddr("169.254.1.1"), netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("192.0.2.6"),
	}
	tests := []struct {
		name    string
		given   Advertise
		listen  Listen
		machine []netip.Addr
		want    Advertise
	}{
		{"loopback", Advertise{}, Listen{API: "127.0.0.1:6700", OpenFlow: "127.0.0.1:6653", Raft: "127.0.0.1:6701"}, machine,
			Advertise{API: "127.0.0.1:6700", OpenFlow: "127.0.0.1:6653", Raft: "127.0.0.1:6701"}},
		{"all addresses", Advertise{}, Listen{API: "0.0.0.0:6700", OpenFlow: "0.0.0.0:6653", Raft: "[::]:6701"}, machine,
			Advertise{API: "192.0.2.5:6700", Raft: "192.0.2.5:6701"}},
		{"IPv6 only", Advertise{}, Listen{API: ":6700", OpenFlow: ":6653", Raft: ":6701"}, machine[1:3],
			Advertise{API: "[2001:db8::5]:6700", Raft: "[2001:db8::5]:6701"}},
		{"nothing but loopback", Advertise{}, Listen{API: ":6700", Raft: ":6701"}, machine[:1],
			Advertise{API: "127.0.0.1:6700", Raft: "127.0.0.1:6701"}},
		{"no API", Advertise{}, Listen{Raft: "192.0.2.9:1"}, machine, Advertise{Raft: "192.0.2.9:1"}},
		{"OpenFlow where the API is", Advertise{}, Listen{API: "192.0.2.9:6700", OpenFlow: "0.0.0.0:6653", Raft: "192.0.2.8:6701"}, machine,
			Advertise{API: "192.0.2.9:6700", OpenFlow: "192.0.2.9:6653", Raft: "192.0.2.8:6701"}},
		{"OpenFlow where the API is said to be", Advertise{API: "198.51.100.9:1"}, Listen{API: "192.0.2.9:6700", OpenFlow: ":6653", Raft: ":6701"}, machine,
			Advertise{API: "198.51.100.9:1", OpenFlow: "198.51.100.9:6653", Raft: "192.0.2.5:6701"}},
		{"OpenFlow where Raft is", Advertise{API: "a.example:1"}, Listen{API: "127.0.0.1:6700", OpenFlow: "[::]:6653", Raft: "[2001:db8::9]:6701"}, machine,
			Advertise{API: "a.example:1", OpenFlow: "[2001:db8::9]:6653", Raft: "[2001:db8::9]:6701"}},
		{"OpenFlow on IPv4 only", Advertise{}, Listen{API: "[2001:db8::9]:6700", OpenFlow: "0.0.0.0:6653", Raft: "127.0.0.1:6701"}, machine,
			Advertise{API: "[2001:db8::9]:6700", Raft: "127.0.0.1:6701"}},
		{"default", Advertise{}, Default().Listen, machine, Advertise{API: "127.0.0.1:6700", Raft: "127.0.0.1:6701"}},
		{"given", Advertise{API: "a.example:1", OpenFlow: "b.example:2", Raft: "c.example:3"}, Listen{API: ":1", OpenFlow: ":2", Raft: ":3"}, machine,
			Advertise{API: "a.example:1", OpenFlow: "b.example:2", Raft: "c.example:3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.given.Derive(tt.listen, tt.machine); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestPortFlagsAreNextToOpenFlow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		listen Listen
		want   string
	}{
		{Listen{OpenFlow: "0.0.0.0:6653"}, "0.0.0.0:6654"},
		{Listen{OpenFlow: "[2001:db8::1]:6653"}, "[2001:db8::1]:6654"},
		{Listen{OpenFlow: "127.0.0.1:0"}, "127.0.0.1:0"},
		{Listen{OpenFlow: ":65535"}, ""},
		{Listen{OpenFlow: ":6653", PortFlags: ":7000"}, ":7000"},
	} {
		if got := tt.listen.PortFlagsAddress(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.listen, got, tt.want)
		}
	}
}
