// Package secrets keeps what must not be read where it is stored: pre-shared keys of
// tunnels are sealed before they enter the replicated store, and are named, never shown,
// wherever a program prints values.
//
// The key that seals (the envelope key) is a file of its own, beside the cluster's CA key: the
// store, its snapshots and its backups hold nothing that can be read without it.
package secrets
