// Package daemon puts a controller node together: certificates, replicated
// store, southbound listeners, the leader's controller and the API, started
// in this order and stopped in the opposite one.
package daemon
