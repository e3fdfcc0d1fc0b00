// Package config is the daemon's configuration: one YAML file, environment
// variables and flags, in rising precedence over the defaults.
//
// A setting has one name in three spellings: listen.api in the file,
// POOLWIRE_LISTEN_API in the environment, --listen-api as a flag. All are declared
// once, in settings.go, with what they mean and what they accept; [Example], the
// flags and the checks follow from there.
package config

import (
	"cmp"
	"os"
	"path/filepath"
	"time"

	"poolwire/secrets"
)

// DefaultFile is read when it exists and no other file is named.
const DefaultFile = "/etc/poolwire/poolwired.yaml"

// Config is the whole configuration of a daemon. Every field is described where it
// is declared as a setting; `poolwired --print-example-config` shows the same texts.
type Config struct {
	// NodeID is the node's id in the cluster; empty until [NodeID] has found or made one.
	NodeID string
	// DataDir holds the replicated store, PKIDir the certificates.
	DataDir, PKIDir string
	// SecretsFile holds the keys that seal secrets in the store; empty for one in PKIDir.
	SecretsFile string
	// SecretsKeys are those keys themselves, from the environment; zero where they are in a file.
	SecretsKeys secrets.Secret
	// CredentialsDir is where systemd puts the service's credentials; empty without any.
	CredentialsDir string
	// Listen says where the daemon accepts connections.
	Listen Listen
	// Advertise says what others are told to dial.
	Advertise Advertise
	// Bootstrap is the name of the cluster to found; empty for none.
	Bootstrap string
	// Join lists API addresses of nodes of the cluster to join, HOST:PORT.
	Join []string
	// Learner keeps a node that joins from voting until it is promoted.
	Learner bool
	// API is about the API beside its TLS listener.
	API API
	// Log is about the daemon's messages.
	Log Log
	// TLS is about the connections with hosts.
	TLS TLS
	// Reconcile is about the leader's loop.
	Reconcile Reconcile
	// Backup is about scheduled backups.
	Backup Backup
	// Limits bound what peers can make the daemon spend.
	Limits Limits
	// InsecureLoopback serves metrics without TLS, on a loopback address.
	InsecureLoopback bool
}

// SecretsName is the name of the file with the keys that seal secrets, where it is in PKIDir.
const SecretsName = "secrets.key"

// CredentialName is the name of the systemd credential that holds such a file.
const CredentialName = "poolwire-secrets-key"

// SecretsSources are where the keys that seal secrets can be.
func (c Config) SecretsSources(create secrets.Creation) secrets.Sources {
	out := secrets.Sources{Environment: c.SecretsKeys, File: c.SecretsPath(), Create: create}
	if c.CredentialsDir != "" {
		path := filepath.Join(c.CredentialsDir, CredentialName)
		if _, err := os.Stat(path); err == nil {
			out.Credential = path
		}
	}
	return out
}

// SecretsPath is where that file is.
func (c Config) SecretsPath() string {
	return cmp.Or(c.SecretsFile, filepath.Join(c.PKIDir, SecretsName))
}

// Listen holds listening addresses, HOST:PORT. A HOST left out means all
// addresses, PORT 0 any free one; an empty API, OVSDB or Metrics means no listener.
type Listen struct {
	API, OpenFlow, OVSDB, Raft, Metrics string
	// PortFlags may be empty: see [Listen.PortFlagsAddress].
	PortFlags string
}

// Advertise holds addresses that others dial, HOST:PORT; empty ones are derived by
// [Advertise.Derive].
type Advertise struct {
	API, OpenFlow, Raft string
}

// API is about the API beside its TLS listener.
type API struct {
	// Socket is the path of the socket for root on this machine; empty for none.
	Socket string
}

// Log is about the daemon's messages on standard error.
type Log struct {
	// Level is debug, info, warn or error.
	Level string
	// Format is text or json.
	Format string
}

// TLS is about the connections with hosts.
type TLS struct {
	// LegacyCiphers offers RSA key exchange as well.
	LegacyCiphers bool
}

// Reconcile is about the leader's loop.
type Reconcile struct {
	// ResyncInterval is how often every switch is read to find drift.
	ResyncInterval time.Duration
}

// Backup is about scheduled backups.
type Backup struct {
	// Dir is where they go; empty for none.
	Dir string
	// Interval is the time between two of them.
	Interval time.Duration
	// Keep is how many there are at most.
	Keep int
}

// Limits bound what peers can make the daemon spend.
type Limits struct {
	// DiskReserve is what must be free in DataDir for changes to be taken, in bytes.
	DiskReserve int
	// OpenFlowConnections and OVSDBConnections bound the connections that hosts open.
	OpenFlowConnections, OVSDBConnections int
	// OVSDBMessage is the longest message taken from an ovsdb-server, in bytes.
	OVSDBMessage int
	// OVSDBMemory is what the sessions with all ovsdb-servers may hold together beyond a MiB each, in bytes.
	OVSDBMemory int
	// PerAddress bounds the connections of one IP address on each listener; APIConnections,
	// RaftConnections and MetricsConnections those of all.
	PerAddress, APIConnections, RaftConnections, MetricsConnections int
	// Handshakes is how many connections may be in their handshake at a time on each listener,
	// HandshakeTime how long one may take.
	Handshakes    int
	HandshakeTime time.Duration
	// UnverifiedSessions bounds the sessions on each listener for hosts whose peers are not known to be registered ones.
	UnverifiedSessions int
	// APIMessage is the longest message taken from a client, in bytes, ListLength the longest list in one.
	APIMessage, ListLength int
	// UnprovedConnections bounds the connections to the API that have proved nothing yet.
	UnprovedConnections int
	// APIStreams is how many calls may be in flight on a connection, CallsPerClient how many of a client, Requests
	// how many a client may begin a second, and Changes how many changes it may make a second for long.
	APIStreams, CallsPerClient, Requests, Changes int
	// Watchers is how many watches there may be on this node, WatchersPerClient how many of one client.
	Watchers, WatchersPerClient int
	// StalledStream is how long a client may not read what is sent to it, UnreadAnswers how many bytes of answers may
	// wait for one meanwhile.
	StalledStream time.Duration
	UnreadAnswers int
}

// Default returns the configuration of a daemon that was told nothing.
func Default() Config {
	return Config{
		DataDir: "/var/lib/poolwire/data",
		PKIDir:  "/var/lib/poolwire/pki",
		Listen: Listen{
			API: "127.0.0.1:6700", OpenFlow: "0.0.0.0:6653", OVSDB: "0.0.0.0:6640",
			Raft: "127.0.0.1:6701", Metrics: "127.0.0.1:9654",
		},
		API:       API{Socket: "/run/poolwire/api.sock"},
		Log:       Log{Level: "info", Format: "text"},
		Reconcile: Reconcile{ResyncInterval: 5 * time.Minute},
		Backup:    Backup{Interval: 6 * time.Hour, Keep: 28},
		Limits: Limits{DiskReserve: 256 << 20, OpenFlowConnections: 4096, OVSDBConnections: 1024, OVSDBMessage: 64 << 20, OVSDBMemory: 1 << 30,
			PerAddress: 256, APIConnections: 4096, RaftConnections: 256, MetricsConnections: 64, Handshakes: 4096, HandshakeTime: 10 * time.Second, UnverifiedSessions: 256,
			APIMessage: 4 << 20, ListLength: 100_000, UnprovedConnections: 256, APIStreams: 256, CallsPerClient: 2048, Requests: 5000, Changes: 20, Watchers: 4096, WatchersPerClient: 256, StalledStream: time.Minute, UnreadAnswers: 64 << 20},
	}
}
