// Package scenario drives the built binaries through what users do, on a lab
// of real Open vSwitch hosts, and judges the outcome by real packets. The demo
// prints its steps; the integration tests run the same steps and more.
package scenario
