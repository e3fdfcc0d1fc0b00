// Package frame builds and reads Ethernet frames for tests: what a guest may put
// on its network card, well-formed or not, and what a capture shows. It knows
// nothing of the code under test.
package frame
