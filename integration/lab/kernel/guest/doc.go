// Package guest is what runs inside a guest of the kernel lab, and the client that
// speaks to it: the guest's init, the agent that runs commands, and small programs
// that send and answer traffic inside the guest's namespaces.
//
// The agent listens on TCP, on a network card of its own that lives in a network
// namespace of its own: nothing of it is seen by the host that the guest plays. A
// connection carries one command: a line of JSON ([Request]), then chunks in both
// directions (see [chunk]). Breaking the connection kills the command and its
// process group.
package guest
