package ovsdbtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/cenkalti/rpc2"
	"github.com/cenkalti/rpc2/jsonrpc"
	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/database/inmemory"
	"github.com/ovn-kubernetes/libovsdb/model"
	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
	"github.com/ovn-kubernetes/libovsdb/server"

	"poolwire/southbound/ovsdb"
)

const database = "Open_vSwitch"

// Config describes a simulated host.
type Config struct {
	// SystemID is external_ids:system-id of the root row.
	SystemID string
	// Followed, if not nil, is told of every state of the database after the switch has
	// done to its rows what it does, in order, in the switch's own goroutine. What it is
	// told must not be changed.
	Followed func(*ovsdb.Snapshot)
}

// Host is a simulated host.
type Host struct {
	server   *server.OvsdbServer
	rpc      *rpc2.Server
	socket   string       // empty for a host without one
	listener net.Listener // of socket
	admin    *ovsdb.Session
	sw       *fakeSwitch
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// NewHost starts a host whose database listens on a new Unix socket at path. Its
// root row carries systemID as external_ids:system-id.
func NewHost(ctx context.Context, path, systemID string) (*Host, error) {
	h, err := Start(ctx, Config{SystemID: systemID})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		h.Close()
		return nil, err
	}
	h.socket, h.listener = path, l
	h.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			h.running.Go(func() { h.Serve(conn) })
		}
	})
	return h, nil
}

// Start starts a host that listens nowhere: connections are given to [Host.Serve].
func Start(ctx context.Context, cfg Config) (*Host, error) {
	h := &Host{conns: map[net.Conn]struct{}{}}
	if err := h.build(); err != nil {
		return nil, err
	}
	if err := h.begin(ctx, cfg); err != nil {
		h.Close()
		return nil, fmt.Errorf("simulated host: %w", err)
	}
	return h, nil
}

// build makes the database and the server for it.
func (h *Host) build() error {
	sch, err := schema()
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	client, err := clientModel()
	if err != nil {
		return err
	}
	db, errs := model.NewDatabaseModel(sch, client)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	quiet := logr.Discard()
	h.server, err = server.NewOvsdbServer(inmemory.NewDatabase(map[string]model.ClientDBModel{database: client}, &quiet), &quiet, db)
	if err != nil {
		return err
	}
	// The server's own listener knows Unix sockets and plain TCP only.
	h.rpc = rpc2.NewServer()
	for method, handler := range map[string]any{
		"list_dbs": h.server.ListDatabases, "get_schema": h.server.GetSchema, "transact": h.server.Transact,
		"monitor": h.server.Monitor, "monitor_cond": h.server.MonitorCond, "echo": h.server.Echo,
	} {
		h.rpc.Handle(method, handler)
	}
	return nil
}

// Serve serves the database on a connection, dialled or accepted, until either side
// closes it or the host is closed.
func (h *Host) Serve(conn net.Conn) {
	h.mu.Lock()
	closed := h.closed
	h.conns[conn] = struct{}{}
	h.mu.Unlock()
	if !closed {
		h.rpc.ServeCodec(jsonrpc.NewJSONCodec(conn))
	}
	_ = conn.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, conn)
}

// begin makes the root row and starts the switch.
func (h *Host) begin(ctx context.Context, cfg Config) error {
	near, far := net.Pipe()
	h.running.Go(func() { h.Serve(far) })
	var err error
	if h.admin, err = ovsdb.NewSession(ctx, near, ovsdb.SessionConfig{}); err != nil {
		return err
	}
	root := libovsdb.Row{
		"ovs_version":  "3.1.0",
		"external_ids": libovsdb.OvsMap{GoMap: map[any]any{"system-id": cfg.SystemID}},
	}
	if _, err := h.admin.Transact(ctx, []ovsdb.Operation{{Op: libovsdb.OperationInsert, Table: "Open_vSwitch", UUIDName: "root", Row: root}}); err != nil {
		return err
	}
	h.sw = startSwitch(h.admin, cfg.Followed)
	return nil
}

// Address is where a session can be had with a host of [NewHost], in the form of [ovsdb.Dial].
func (h *Host) Address() string { return "unix:" + h.socket }

// Snapshot is the host's database as it is now.
func (h *Host) Snapshot() *ovsdb.Snapshot { return h.admin.Snapshot() }

// Transact changes the database as an administrator on the host would.
func (h *Host) Transact(ctx context.Context, ops ...ovsdb.Operation) error {
	_, err := h.admin.Transact(ctx, ops)
	return err
}

// Close ends the host and the sessions with it.
func (h *Host) Close() {
	if h.sw != nil {
		h.sw.stop()
	}
	if h.admin != nil {
		h.admin.Close()
	}
	if h.listener != nil {
		_ = h.listener.Close()
	}
	h.mu.Lock()
	h.closed = true
	conns := slices.Collect(maps.Keys(h.conns))
	h.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
	h.running.Wait()
}
