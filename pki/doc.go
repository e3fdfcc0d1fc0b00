// Package pki is the controller's own certificate authority and everything that
// decides who a TLS peer is.
//
// A directory holds it:
//
//	ca.pem       the CA: its certificate or, of an intermediate one, the chain up to the root
//	             ([Anchor]), 0644: what hosts and clients are given
//	ca.key       the key of its first certificate, 0600; absent on a node that was given its certificate
//	node.pem     this node's certificate, then that chain, 0644
//	node.key     its key, 0600
//	admin.pem    client certificate of the role admin for this machine, 0644
//	admin.key    its key, 0600
//	next.pem, next.key, trusted.pem
//	             while the CA is rotated: the next one, and what else is trusted meanwhile
//
// Keys are PKCS #8, certificates X.509v3 (RFC 5280), all in PEM. A CA that is made here has an
// ECDSA key on P-256; nodes and hosts have RSA keys of 3072 bits, because the ovsdb-server of
// XCP-ng 8.3 takes no key exchange but RSA's. Signatures are made with SHA-256. An operator's own
// CA may be RSA or ECDSA.
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
