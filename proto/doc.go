// Package proto holds the protobuf files: poolwire.v1 is the API,
// poolwire.store.v1 the commands and records of the replicated store.
package proto

//go:generate go run ./internal/apidocs ../docs/api.md
