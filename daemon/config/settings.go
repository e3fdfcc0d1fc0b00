package config

import (
	"strings"
	"time"
)

// setting is one entry of the configuration, bound to a field of a Config.
type setting struct {
	// name is the key in the file, its section before the dot.
	name string
	// doc says what it means: whole sentences, the first one fit for --help.
	doc string
	// value reads and writes the field.
	value value
}

// sections describes the parts of the file, in the order of settings.
var sections = map[string]string{
	"listen":    "Where the daemon accepts connections, as HOST:PORT. Without HOST, as in \":6653\", on all addresses.",
	"advertise": "What others dial to reach this node, as HOST:PORT. Empty values are derived from the listening addresses.",
	"api":       "The API beside its TLS listener.",
	"log":       "Messages on standard error.",
	"tls":       "Connections with hosts.",
	"reconcile": "The leader's loop.",
	"backup":    "Backups of the cluster's state on a schedule.",
	"limits":    "What peers can make the daemon spend.",
}

// settings declares every setting, in the order of the example file.
func settings(c *Config) []setting {
	all := []setting{
		{"node_id", "Name of this node in the cluster. Empty: a random one, made at the first start and kept in data_dir. It never changes afterwards.",
			nameValue(&c.NodeID)},
		{"data_dir", "Directory of the replicated store.", pathValue(&c.DataDir, required)},
		{"pki_dir", "Directory of the certificates. The first start makes a CA there; ca.pem is what hosts and clients need. Keep it secret: ca.key can sign for everybody.",
			pathValue(&c.PKIDir, required)},
		{"secrets_file", "Keys that seal the secrets in the store, which no backup of the store holds: 32 bytes in base64 a line, of which the first seals. " +
			"Every node of a cluster needs the same keys. Empty: secrets.key in pki_dir, made at the first start of the first node. " +
			"Instead of a file they can be given in POOLWIRE_SECRETS_KEYS, separated by commas, or as systemd's credential poolwire-secrets-key; never in two ways at once.", pathValue(&c.SecretsFile, optional)},
		{"bootstrap", "Name of the cluster to found on this node. For the first node only, where it may stay set: a node that has data founds nothing, and one with a copy of the first node's pki_dir does not start. " +
			"Where join is set as well, its nodes are asked first whether the cluster is there already.", nameValue(&c.Bootstrap)},
		{"join", "API addresses of nodes of a running cluster to join, HOST:PORT. Only the first start looks at it, and a start after which no leader is heard.",
			listValue(&c.Join)},
		{"learner", "Stay a learner after joining: get the log, do not vote, until 'poolwire cluster promote'.", boolValue(&c.Learner)},
		{"insecure_loopback", "Serve listen.metrics by plain HTTP, to everybody on this machine. Only with a loopback address there; no other port is ever served without TLS.",
			boolValue(&c.InsecureLoopback)},

		{"listen.api", "The gRPC API: TLS with client certificates. Loopback by default: name an address to serve other machines and other nodes. Empty: none.",
			addressValue(&c.Listen.API, optional)},
		{"listen.openflow", "Connections from bridges. Every bridge of a managed host dials it.", addressValue(&c.Listen.OpenFlow, required)},
		{"listen.portflags", "OpenFlow 1.0 connections from bridges, for the one thing that no later version can set: which ports are not flooded to. " +
			"Bridges dial the port after that of advertise.openflow. Empty: listen.openflow with the next port.", addressValue(&c.Listen.PortFlags, optional)},
		{"listen.ovsdb", "Connections from hosts in active mode (xe sdn-controller-introduce protocol=ssl). Empty: none.", addressValue(&c.Listen.OVSDB, optional)},
		{"listen.raft", "Connections from other nodes. Loopback by default: name an address before other nodes join.", addressValue(&c.Listen.Raft, required)},
		{"listen.metrics", "HTTPS with this node's certificate: /metrics for clients with a certificate, /healthz and /readyz for everybody. Empty: none.",
			addressValue(&c.Listen.Metrics, optional)},

		{"advertise.api", "The API of this node, for other nodes. Empty: listen.api, or this machine's first address where that names none.",
			addressValue(&c.Advertise.API, reachable)},
		{"advertise.openflow", "What bridges are told to dial. Empty: listen.openflow, or where that names no address the one of advertise.api, listen.api or Raft. " +
			"Without any, hosts reach this node only while it leads, at the address by which they dial it.",
			addressValue(&c.Advertise.OpenFlow, reachable)},
		{"advertise.raft", "Raft of this node, for other nodes. Empty: listen.raft, or this machine's first address where that names none.",
			addressValue(&c.Advertise.Raft, reachable)},

		{"api.socket", "Socket of the API for root on this machine, without certificates: what the client uses when no server is named. Empty: none.",
			pathValue(&c.API.Socket, optional)},

		{"log.level", "The least level that is written: debug, info, warn or error.", choiceValue(&c.Log.Level, "debug", "info", "warn", "error")},
		{"log.format", "text or json.", choiceValue(&c.Log.Format, "text", "json")},

		{"tls.legacy_ciphers", "Offer RSA key exchange to hosts as well. The ovsdb-server of XCP-ng 8.3 accepts nothing else; it has no forward secrecy.",
			boolValue(&c.TLS.LegacyCiphers)},

		{"reconcile.resync_interval", "How often every switch is read to find drift, although nothing is known to have changed. A duration such as 90s or 5m.",
			durationValue(&c.Reconcile.ResyncInterval, time.Second, 24*time.Hour)},

		{"backup.dir", "Directory for copies of the cluster's state, one file each, made by this node from what the leader knows. Another disk is better. " +
			"They hold neither the certificates nor secrets.key: save pki_dir once. Empty: no copies.", pathValue(&c.Backup.Dir, optional)},
		{"backup.interval", "How often a copy is made.", durationValue(&c.Backup.Interval, time.Minute, 30*24*time.Hour)},
		{"backup.keep", "How many copies of a cluster are kept; the oldest goes first.", intValue(&c.Backup.Keep, 1, 10000)},
	}
	return append(all, limitSettings(c)...)
}

// limitSettings declares what bounds peers.
func limitSettings(c *Config) []setting {
	return []setting{
		{"limits.disk_reserve", "Bytes that must be free on the file system of data_dir for this node to take changes. Below, another node leads, or changes are refused until there is room.",
			intValue(&c.Limits.DiskReserve, 1<<20, 1<<40)},
		{"limits.openflow_connections", "Connections from bridges, on each of listen.openflow and listen.portflags. A host has one per bridge.", intValue(&c.Limits.OpenFlowConnections, 1, 1<<20)},
		{"limits.ovsdb_connections", "Connections from hosts in active mode.", intValue(&c.Limits.OVSDBConnections, 1, 1<<20)},
		{"limits.api_connections", "Connections to listen.api. A client has one.", intValue(&c.Limits.APIConnections, 1, 1<<20)},
		{"limits.raft_connections", "Connections to listen.raft. A node has a few to each other one.", intValue(&c.Limits.RaftConnections, 1, 1<<20)},
		{"limits.metrics_connections", "Connections to listen.metrics.", intValue(&c.Limits.MetricsConnections, 1, 1<<20)},
		{"limits.connections_per_address", "Connections of one IP address, or one /64 of IPv6, on each listener. A host has one per bridge; clients behind one address share it. Nodes get at most 64 to listen.raft, and an address a quarter of limits.metrics_connections to listen.metrics.",
			intValue(&c.Limits.PerAddress, 1, 1<<20)},
		{"limits.handshakes", "Connections whose handshake is not done, silent ones too, on each listener; a quarter of them of one address. The oldest goes when another one comes, also when another limit of connections is reached. On listen.raft there is room for 128, on listen.metrics limits.metrics_connections count.", intValue(&c.Limits.Handshakes, 1, 1<<20)},
		{"limits.handshake_time", "How long a handshake may take, of TLS and of the protocol, on every listener but listen.metrics. A duration such as 10s.",
			durationValue(&c.Limits.HandshakeTime, time.Second, 10*time.Minute)},
		{"limits.unverified_sessions", "Sessions on each of listen.openflow, listen.portflags and listen.ovsdb whose peer is not known to be a registered host; a quarter of them of one address. The oldest goes when another one comes.",
			intValue(&c.Limits.UnverifiedSessions, 4, 1<<20)},
		{"limits.api_message", "Longest message taken from a client of the API, in bytes.", intValue(&c.Limits.APIMessage, 64<<10, 1<<30)},
		{"limits.unproved_connections", "Connections to listen.api that have shown no certificate and made no accepted call yet; a quarter of them of one address. The oldest goes when another one comes, and each after limits.handshake_time.",
			intValue(&c.Limits.UnprovedConnections, 4, 1<<20)},
		{"limits.list_length", "Entries in any list of a request. Most lists have lower bounds of their own.", intValue(&c.Limits.ListLength, 100, 1<<30)},
		{"limits.api_streams", "Calls in flight on one connection to the API; more wait.", intValue(&c.Limits.APIStreams, 1, 1<<20)},
		{"limits.calls_per_client", "Calls in flight of one client, by its name. Nodes and root on api.socket are exempt.", intValue(&c.Limits.CallsPerClient, 1, 1<<20)},
		{"limits.requests_per_second", "Calls that one client may begin a second, by its name, and twice as many at once. Nodes and root on api.socket are exempt.",
			intValue(&c.Limits.Requests, 1, 1<<30)},
		{"limits.changes_per_second", "Changes that one client may make a second for long, by its name and on all nodes together; 100 times as many at once. One of more than 2 KiB counts as several. Nodes and root on api.socket are exempt.",
			intValue(&c.Limits.Changes, 1, 1<<20)},
		{"limits.watchers", "Watches on this node.", intValue(&c.Limits.Watchers, 1, 1<<20)},
		{"limits.watchers_per_client", "Watches of one client on this node, by its name.", intValue(&c.Limits.WatchersPerClient, 1, 1<<20)},
		{"limits.stalled_stream", "How long a client may not read what is streamed to it before the stream ends, or an answer before its connection does. A duration such as 1m.",
			durationValue(&c.Limits.StalledStream, time.Second, 24*time.Hour)},
		{"limits.unread_answers", "Bytes of answers to one client, by its name, that may wait to be read by it; four times as many of all. Nodes and root on api.socket are exempt.",
			intValue(&c.Limits.UnreadAnswers, 1<<20, 1<<30)},
		{"limits.ovsdb_message", "Longest message taken from an ovsdb-server, in bytes.", intValue(&c.Limits.OVSDBMessage, 1<<20, 1<<30)},
		{"limits.ovsdb_memory", "What the rows and messages of all ovsdb-servers may take together beyond 1 MiB each, in bytes. When there is too little, the session that has most ends.",
			intValue(&c.Limits.OVSDBMemory, 64<<20, 1<<40)},
	}
}

// env is the setting's name in the environment.
func (s setting) env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(s.name, ".", "_"))
}

// flag is the setting's name as a flag, without dashes.
func (s setting) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.name) }

// section is the part of the name before the dot; empty at the top level.
func (s setting) section() string {
	if before, _, nested := strings.Cut(s.name, "."); nested {
		return before
	}
	return ""
}

// summary is the first sentence of the doc.
func (s setting) summary() string {
	first, _, _ := strings.Cut(s.doc, ". ")
	return strings.TrimSuffix(first, ".")
}
