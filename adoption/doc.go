// Package adoption reads from the store which private networks Xen Orchestra's plugin has made on the hosts, and says
// which of their tunnels a private network of Poolwire's may use while it takes one over.
//
// The plugin makes a star: the centre has a tunnel to every other host. Hosts are taken over pool by pool. Those that are
// (members) reach each other by Poolwire's tunnels; the others are reached by what is left of the star. Both carry the
// same key and encapsulation, so that either end of a tunnel can change hands before the other.
//
// It reads a view of the store, and writes nothing.
package adoption
