// Package kernel adds hosts to a lab that have a kernel of their own: each is a
// User-Mode Linux guest with the kernel datapath of Open vSwitch, ovsdb-server,
// ovs-vswitchd, ovs-monitor-ipsec and strongSwan, as a real host has them. It is
// for what the namespaces of package lab cannot show: IPsec, and kernel tunnels.
//
//	      fabric namespace: the underlay of the lab
//	  ┌────────────┬────────────────────────┬───────────────┐
//	node ctl    tap1 = eth0 ─ xenbr0     tap3 = eth0 …    host xen3
//	            ┌ guest kern1 ──────┐    ┌ guest kern2 ┐  (package lab)
//	            │ 100.64.1.1 LOCAL  │    │ 100.64.1.2  │
//	            │ vif1.0  VM a      │    └─────────────┘
//	            └───────────────────┘
//
// A guest's root is the machine's own file system, read-only (hostfs); /etc is a
// copy; /run, /tmp, /var/log and /var/lib/openvswitch are its own. Only the host's
// directory is shared, by the same path inside and outside: certificates, logs,
// and the database, which survives a reboot as on a real host.
//
// Programs are run in a guest through its agent (package guest), which listens on
// a second card in a namespace of its own. [Host] and [VM] embed a
// [lab.Namespace], so that running, pinging and capturing work as in the fast lab.
//
// A guest is one process group of the machine. It is journaled and marked like
// every process of a lab, so [lab.Sweep] finds what a crash leaves; its tap
// devices go with the fabric's namespace.
//
// The machine is changed in one way: the directory /lib/modules is made where it
// is missing, because the guest's root, which is the machine's, must have it to
// mount its own on.
package kernel
