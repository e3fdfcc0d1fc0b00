// Package listener reads what the VMs of a private network say of the multicast groups that they listen to (IGMP, RFC 1112,
// RFC 2236 and RFC 3376; MLD, RFC 2710 and RFC 3810), and writes the queries that they answer. What it reads was written
// by guests: everything is bounded and checked, and a message with anything wrong about it says nothing.
package listener
