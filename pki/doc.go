// Package pki is the controller's own certificate authority and everything that
// decides who a TLS peer is.
//
// A directory holds it:
//
//	ca.pem      root certificate, 0644: what hosts and clients are given
//	ca.key      its key, 0600; absent on a node that was given its certificate
//	node.pem    this node's certificate, then the root, 0644
//	node.key    its key, 0600
//	admin.pem   client certificate of the role admin for this machine, 0644
//	admin.key   its key, 0600
//
// Keys are PKCS #8, certificates X.509v3 (RFC 5280), all in PEM. The CA, the nodes
// and the hosts have RSA keys of 3072 bits and SHA-256 signatures, because the
// OpenSSL 1.0.2 and the cipher list of XCP-ng hosts allow nothing newer.
//
// Identity is a URI in the subjectAltName, never a common name:
//
//	poolwire://host/<uuid>     a host
//	poolwire://ipsec/<uuid>    the IKE daemon of a host
//	poolwire://node/<id>       a node of the controller's cluster
//	poolwire://client/<name>   a client of the API; its role is the subject's Organization
//
// A certificate of one kind is of no use as another: a stolen host key opens neither
// the API nor Raft.
package pki
