// Package portflags is an OpenFlow 1.0 session with a bridge, for the one thing that no
// later version can set: OFPPC_NO_FLOOD, the flag of a port that the switch's own
// forwarding (NORMAL) leaves out when it floods. OpenFlow 1.1 dropped it; Open vSwitch
// honours it in every version, and lets only OpenFlow 1.0 set it.
//
// A bridge has one such session beside its OpenFlow 1.3 one, by a Controller row of its
// own. It gets no packets and changes no flows.
package portflags
