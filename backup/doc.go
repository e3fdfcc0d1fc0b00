// Package backup is the file that a cluster's state is saved in: a self-describing
// container, which tells damage, truncation and files of others or of newer versions apart.
//
// The file, numbers big endian:
//
//	magic "poolwire-backup\n" | format (4) | size of the manifest (4) | manifest | SHA-256 of all before (32) | body
//
// The manifest is a poolwire.v1.BackupManifest; the body is a snapshot of the store in gzip
// (RFC 1952), whose size and SHA-256 are in the manifest. Secrets in it are sealed as they
// are in the store; the keys that open them are not in the file.
//
// The checksums find damage. They prove nothing about who wrote the file.
package backup
