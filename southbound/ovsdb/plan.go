package ovsdb

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

const (
	failSecure     = "secure"
	failStandalone = "standalone"
)

// Plan returns the operations, for one transaction, that lead from the snapshot
// to what is desired; none when nothing differs. The first one is the epoch guard,
// or the claim where the host is not claimed for this epoch yet. Rows of ours that
// are not desired go; rows of others are never deleted or rewritten, but for the
// tunnels in Retired. It is pure, and after its result has been carried out it plans nothing.
//
// Errors: [ErrNoRoot], [ErrForeignCluster], [ErrNewerEpoch], [ErrBadDesired], all
// without operations. A *ConflictError, possibly joined with others, names a wish
// that someone else's row is in the way of: the operations then do all the rest.
func Plan(s *Snapshot, d Desired) ([]Operation, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	head, err := ClaimEpoch(s, d.Cluster, d.Epoch)
	if err != nil {
		return nil, err
	}
	p := newPlanner(s, d.Cluster)
	p.want(d.Bridges)
	for _, b := range d.Bridges {
		p.bridge(b)
	}
	for _, name := range names(p.bridges) {
		if b := p.bridges[name]; !p.wanted[name] {
			p.unmanage(b)
		}
	}
	p.retire(d.Retired)
	p.policing(d.Policing)
	body := p.operations()
	if len(body) > 0 && len(head) == 0 {
		head = []Operation{guard(s.OpenVSwitch.UUID, d.Cluster, d.Epoch)}
	}
	return append(head, body...), errors.Join(p.conflicts...)
}

// planner collects the changes of one plan.
type planner struct {
	s       *Snapshot
	cluster string
	// Rows by name. Names are unique in all three tables.
	bridges    map[string]*BridgeRow
	ports      map[string]*PortRow
	interfaces map[string]*InterfaceRow
	// bridgeOf maps the uuid of a port, and portOf that of an interface, to the row
	// that holds it.
	bridgeOf map[string]*BridgeRow
	portOf   map[string]*PortRow

	// wanted holds the names of desired bridges, wantedPorts those of desired ports.
	wanted, wantedPorts map[string]bool
	// foreignPorts remembers, by bridge uuid, the answers of hosts.
	foreignPorts map[string]bool

	inserts   []Operation
	edits     map[string]*bridgeEdit
	rest      []Operation
	root      setEdit
	rootIDs   mapEdit
	named     int
	conflicts []error
}

// bridgeEdit is what changes on one existing bridge.
type bridgeEdit struct {
	row         *BridgeRow
	set         libovsdb.Row
	ports       setEdit
	controllers setEdit
	addTables   map[int64]uuidRef
	dropTables  []int
	protocols   []string
	ids, config mapEdit
	// without lists protocols to remove: only ever some that we had added.
	without []string
}

func newPlanner(s *Snapshot, cluster string) *planner {
	p := &planner{
		s: s, cluster: cluster, edits: map[string]*bridgeEdit{},
		bridges: map[string]*BridgeRow{}, ports: map[string]*PortRow{}, interfaces: map[string]*InterfaceRow{},
		bridgeOf: map[string]*BridgeRow{}, portOf: map[string]*PortRow{},
		wanted: map[string]bool{}, wantedPorts: map[string]bool{}, foreignPorts: map[string]bool{},
	}
	for _, b := range s.Bridges {
		p.bridges[b.Name] = b
		for _, uuid := range b.Ports {
			p.bridgeOf[uuid] = b
		}
	}
	for _, port := range s.Ports {
		p.ports[port.Name] = port
		for _, uuid := range port.Interfaces {
			p.portOf[uuid] = port
		}
	}
	for _, i := range s.Interfaces {
		p.interfaces[i.Name] = i
	}
	return p
}

// want notes what is to stay. The ports of a bridge that cannot be there after
// this plan are not: they would stay where they are now.
func (p *planner) want(bridges []DesiredBridge) {
	for _, b := range bridges {
		p.wanted[b.Name] = true
		if row := p.bridges[b.Name]; row == nil && !b.Create || row != nil && b.Create && !p.owned(row.ExternalIDs) {
			continue
		}
		for _, port := range b.Ports {
			p.wantedPorts[port.Name] = true
		}
	}
}

func (p *planner) owned(externalIDs map[string]string) bool {
	return ownedBy(externalIDs, p.cluster)
}

// newName is the name of a row to be inserted.
func (p *planner) newName() string {
	p.named++
	return fmt.Sprintf("row%d", p.named)
}

func (p *planner) insert(table string, row libovsdb.Row) uuidRef {
	name := p.newName()
	p.inserts = append(p.inserts, insertOp(table, name, row))
	return uuidRef{GoUUID: name}
}

func (p *planner) edit(b *BridgeRow) *bridgeEdit {
	e := p.edits[b.UUID]
	if e == nil {
		e = &bridgeEdit{row: b, set: libovsdb.Row{}, addTables: map[int64]uuidRef{}}
		p.edits[b.UUID] = e
	}
	return e
}

func (p *planner) conflict(bridge, port, format string, args ...any) {
	p.conflicts = append(p.conflicts, &ConflictError{Bridge: bridge, Port: port, Reason: fmt.Sprintf(format, args...)})
}

// operations puts all changes in their order: new rows, what changes in rows
// that stay, then the bridges in the root row.
func (p *planner) operations() []Operation {
	ops := append(p.inserts, p.rest...)
	edits := make([]*bridgeEdit, 0, len(p.edits))
	for _, e := range p.edits {
		edits = append(edits, e)
	}
	slices.SortFunc(edits, func(a, b *bridgeEdit) int { return cmp.Compare(a.row.Name, b.row.Name) })
	for _, e := range edits {
		ops = append(ops, e.operations()...)
	}
	mutations := append(p.root.mutations("bridges"), p.rootIDs.mutations("external_ids")...)
	if len(mutations) > 0 {
		ops = append(ops, mutateOp(tableOpenVSwitch, p.s.OpenVSwitch.UUID, mutations...))
	}
	return ops
}

func (e *bridgeEdit) operations() []Operation {
	var ops []Operation
	if len(e.set) > 0 {
		ops = append(ops, updateOp(tableBridge, e.row.UUID, e.set))
	}
	m := append(e.ports.mutations("ports"), e.controllers.mutations("controller")...)
	if len(e.dropTables) > 0 {
		slices.Sort(e.dropTables)
		set, _ := libovsdb.NewOvsSet(e.dropTables)
		m = append(m, *libovsdb.NewMutation("flow_tables", libovsdb.MutateOperationDelete, set))
	}
	if len(e.addTables) > 0 {
		m = append(m, *libovsdb.NewMutation("flow_tables", libovsdb.MutateOperationInsert, tableMap(e.addTables)))
	}
	if len(e.without) > 0 {
		m = append(m, *libovsdb.NewMutation("protocols", libovsdb.MutateOperationDelete, stringSet(e.without)))
	}
	if len(e.protocols) > 0 {
		m = append(m, *libovsdb.NewMutation("protocols", libovsdb.MutateOperationInsert, stringSet(e.protocols)))
	}
	m = append(m, e.ids.mutations("external_ids")...)
	m = append(m, e.config.mutations("other_config")...)
	if len(m) > 0 {
		ops = append(ops, mutateOp(tableBridge, e.row.UUID, m...))
	}
	return ops
}

// ourKey reports keys of external_ids that nobody but Poolwire writes.
func ourKey(key string) bool { return strings.HasPrefix(key, keyPrefix) }
