// Package lab builds pools of real Open vSwitch hosts on one Linux machine, for
// the demo and for the integration tests.
//
//	          fabric namespace: one Linux bridge per segment (the underlay)
//	   ┌──────────────┬───────────────────┬──────────────────┐
//	node ctl       host xen1           host xen2          host xen3
//	100.64.0.1     eth0 ─ xenbr0       eth0 ─ xenbr0      …
//	(controller)   100.64.1.1 on LOCAL 100.64.1.2
//	               vif1.0  vif2.0      vif1.0
//	                 │       │           │
//	                VM a    VM b        VM c              (a namespace each)
//
// A host is a network namespace with an ovsdb-server and an ovs-vswitchd of its
// own, on the userspace datapath (datapath_type=netdev), so that no kernel
// module is needed. It is laid out as XAPI lays out an XCP-ng host: the bridge
// that owns the NIC carries the host's address on its LOCAL port, VLAN networks
// are fake bridges, VIF ports are called vifDOMID.DEVICE and carry xs-vif-uuid
// and its companions in external_ids.
//
// Everything is made inside namespaces: nothing of a lab is ever visible among
// the machine's own links, and several labs may run beside each other with the
// same addresses. Every resource is written to a journal in the lab's directory
// before or as it is made. [Sweep], which [New] runs first, removes what labs
// left behind whose owner died; [Clean] removes one by name. Processes are only
// ever ended by process id, and only after the start time in the journal or the
// lab's mark in the environment has proved that the id still means the process
// the lab started.
//
// The lab needs root. See [Require].
package lab
