// Package agreement holds three answers to one question against each other: what
// becomes of a packet? The evaluator of compiled flows, a real ovs-vswitchd that holds
// these flows, and the meaning of the policy, worked out from nothing but the policy.
package agreement
