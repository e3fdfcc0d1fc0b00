package ovsdbtest

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"

	"poolwire/southbound/ovsdb"
)

// transactTimeout bounds one transaction of the simulated switch.
const transactTimeout = 10 * time.Second

// ofportLocal is the OpenFlow number of a bridge's own port.
const ofportLocal = 65534

// fakeSwitch does to rows what ovs-vswitchd does.
type fakeSwitch struct {
	db     *ovsdb.Session
	cancel context.CancelFunc
	done   chan struct{}
	// next OpenFlow number by bridge name; numbers are not used twice.
	next map[string]int
	// followed may be nil.
	followed func(*ovsdb.Snapshot)
}

func startSwitch(db *ovsdb.Session, followed func(*ovsdb.Snapshot)) *fakeSwitch {
	ctx, cancel := context.WithCancel(context.Background())
	f := &fakeSwitch{db: db, cancel: cancel, done: make(chan struct{}), next: map[string]int{}, followed: followed}
	go f.run(ctx)
	return f
}

func (f *fakeSwitch) stop() {
	f.cancel()
	<-f.done
}

func (f *fakeSwitch) run(ctx context.Context) {
	defer close(f.done)
	for {
		if ops := f.configure(f.db.Snapshot()); len(ops) > 0 {
			limited, cancel := context.WithTimeout(ctx, transactTimeout)
			_, _ = f.db.Transact(limited, ops)
			cancel()
		}
		if f.followed != nil {
			f.followed(f.db.Snapshot())
		}
		select {
		case <-ctx.Done():
			return
		case <-f.db.Done():
			return
		case <-f.db.Changed():
		}
	}
}

// configure fills in what a switch finds out by itself.
func (f *fakeSwitch) configure(s *ovsdb.Snapshot) []ovsdb.Operation {
	var ops []ovsdb.Operation
	for _, b := range s.Bridges {
		if b.DatapathID == "" {
			ops = append(ops, update("Bridge", b.UUID, libovsdb.Row{"datapath_id": set(fmt.Sprintf("%016x", hash(b.UUID)>>16))}))
		}
		for _, p := range b.Ports {
			if s.Ports[p] == nil {
				continue
			}
			for _, uuid := range s.Ports[p].Interfaces {
				if i := s.Interfaces[uuid]; i != nil && !i.OFPort.Set {
					ops = append(ops, f.plug(b.Name, i))
				}
			}
		}
	}
	return ops
}

func (f *fakeSwitch) plug(bridge string, i *ovsdb.InterfaceRow) ovsdb.Operation {
	number := ofportLocal
	if i.Name != bridge {
		f.next[bridge]++
		number = f.next[bridge]
	}
	h := hash(i.UUID)
	return update("Interface", i.UUID, libovsdb.Row{
		"ofport": set(number), "link_state": set("up"), "mtu": set(1500),
		"mac_in_use": set(fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", byte(h), byte(h>>8), byte(h>>16), byte(h>>24), byte(h>>32))),
	})
}

func update(table, uuid string, row libovsdb.Row) ovsdb.Operation {
	where := []libovsdb.Condition{libovsdb.NewCondition("_uuid", libovsdb.ConditionEqual, libovsdb.UUID{GoUUID: uuid})}
	return ovsdb.Operation{Op: libovsdb.OperationUpdate, Table: table, Where: where, Row: row}
}

func set(value any) libovsdb.OvsSet { return libovsdb.OvsSet{GoSet: []any{value}} }

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}
