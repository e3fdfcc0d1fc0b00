package ovsdbtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/cenkalti/rpc2"
	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/database/inmemory"
	"github.com/ovn-kubernetes/libovsdb/model"
	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
	"github.com/ovn-kubernetes/libovsdb/server"

	"poolwire/southbound/ovsdb"
)

const database = "Open_vSwitch"

// Host is a simulated host. Its address is Address.
type Host struct {
	server  *server.OvsdbServer
	socket  string
	admin   *ovsdb.Session
	sw      *fakeSwitch
	running sync.WaitGroup

	mu      sync.Mutex
	clients map[*rpc2.Client]struct{}
}

// NewHost starts a host whose database listens on a new Unix socket at path. Its
// root row carries systemID as external_ids:system-id.
func NewHost(ctx context.Context, path, systemID string) (*Host, error) {
	h := &Host{socket: path, clients: map[*rpc2.Client]struct{}{}}
	if err := h.listen(); err != nil {
		return nil, err
	}
	if err := h.begin(ctx, systemID); err != nil {
		h.Close()
		return nil, fmt.Errorf("simulated host: %w", err)
	}
	return h, nil
}

func (h *Host) listen() error {
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
	h.server.OnConnect(func(c *rpc2.Client) { h.note(c, true) })
	h.server.OnDisConnect(func(c *rpc2.Client) { h.note(c, false) })
	h.running.Add(1)
	go func() {
		defer h.running.Done()
		_ = h.server.Serve("unix", h.socket)
	}()
	return nil
}

func (h *Host) note(c *rpc2.Client, here bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if here {
		h.clients[c] = struct{}{}
	} else {
		delete(h.clients, c)
	}
}

// begin makes the root row and starts the switch.
func (h *Host) begin(ctx context.Context, systemID string) error {
	conn, err := h.dial(ctx)
	if err != nil {
		return err
	}
	if h.admin, err = ovsdb.NewSession(ctx, conn, ovsdb.SessionConfig{}); err != nil {
		return err
	}
	root := libovsdb.Row{
		"ovs_version":  "3.1.0",
		"external_ids": libovsdb.OvsMap{GoMap: map[any]any{"system-id": systemID}},
	}
	if _, err := h.admin.Transact(ctx, []ovsdb.Operation{{Op: libovsdb.OperationInsert, Table: "Open_vSwitch", UUIDName: "root", Row: root}}); err != nil {
		return err
	}
	h.sw = startSwitch(h.admin)
	return nil
}

// dial waits for the server's socket: Serve does not say when it listens.
func (h *Host) dial(ctx context.Context) (net.Conn, error) {
	for {
		conn, err := ovsdb.Dial(ctx, h.Address(), nil)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		select {
		case <-ctx.Done():
		case <-soon():
		}
	}
}

// Address is where a session can be had, in the form of [ovsdb.Dial].
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
	h.server.Close()
	h.running.Wait()
	h.mu.Lock()
	clients := make([]io.Closer, 0, len(h.clients))
	for c := range h.clients {
		clients = append(clients, c)
	}
	h.mu.Unlock()
	for _, c := range clients {
		_ = c.Close()
	}
}
