// Package ovsdbtest simulates hosts: an OVSDB server in this process, with the
// part of the vswitch schema that Poolwire uses and something behind it that does
// what ovs-vswitchd does to rows: it gives bridges datapath ids, and interfaces
// OpenFlow numbers and MACs. It costs a few goroutines, so that a thousand hosts
// fit into a test. It switches no packets and speaks no OpenFlow.
package ovsdbtest
