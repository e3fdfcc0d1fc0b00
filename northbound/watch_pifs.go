package northbound

import (
	"context"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// pifMirror follows the rows PIFs are derived from, for the hosts whose rows
// changed while the watch runs. PIFs are not stored, so what a revision did to
// them is the difference between what is derived before and after it; and for
// that the rows must be exactly those of the revision, not those of now.
type pifMirror struct {
	hosts map[string]*hostRows
}

// hostRows are the bridges and ports of one host at one revision, by name.
type hostRows struct {
	bridges map[string]*storev1.Bridge
	ports   map[string]*storev1.Port
}

// changes derives what a change set did to PIFs.
func (m *pifMirror) changes(ctx context.Context, w *watch, set raftstore.ChangeSet) ([]*v1.Change, error) {
	touched := map[string]bool{}
	for _, c := range set.Changes {
		if c.Table == raftstore.TableBridges || c.Table == raftstore.TablePorts {
			host, _, _ := strings.Cut(c.Key, "/")
			touched[host] = true
		}
	}
	var out []*v1.Change
	for _, host := range sortedKeys(touched) {
		rows, err := m.rowsBefore(ctx, w, host, set)
		if err != nil {
			return nil, err
		}
		view := w.store.View()
		before := rows.derive(view, host)
		rows.apply(host, set)
		out = append(out, pifDifference(before, rows.derive(view, host))...)
	}
	return out, nil
}

// rowsBefore returns a host's rows as they were before a change set: those of
// the mirror or, for a host that is new in it, those of now with everything
// undone that has happened since.
func (m *pifMirror) rowsBefore(ctx context.Context, w *watch, host string, set raftstore.ChangeSet) (*hostRows, error) {
	if rows := m.hosts[host]; rows != nil {
		return rows, nil
	}
	view := w.store.View()
	if err := w.history.readTo(ctx, set.Revision, view.Revision()); err != nil {
		return nil, err
	}
	rows := &hostRows{bridges: map[string]*storev1.Bridge{}, ports: map[string]*storev1.Port{}}
	for _, b := range view.Bridges(host) {
		rows.bridges[b.GetName()] = b
	}
	for _, p := range view.Ports(host) {
		rows.ports[p.GetName()] = p
	}
	for _, later := range slices.Backward(w.history.ahead) {
		if later.Revision <= view.Revision() {
			rows.undo(host, later)
		}
	}
	rows.undo(host, set)
	if m.hosts == nil {
		m.hosts = map[string]*hostRows{}
	}
	m.hosts[host] = rows
	return rows, nil
}

func (r *hostRows) apply(host string, set raftstore.ChangeSet) {
	for _, c := range set.Changes {
		r.set(host, c, c.After)
	}
}

func (r *hostRows) undo(host string, set raftstore.ChangeSet) {
	for _, c := range slices.Backward(set.Changes) {
		r.set(host, c, c.Before)
	}
}

// set puts one row into the state it had before or after a change.
func (r *hostRows) set(host string, c raftstore.Change, to proto.Message) {
	name, ours := strings.CutPrefix(c.Key, host+"/")
	if !ours {
		return
	}
	switch c.Table {
	case raftstore.TableBridges:
		put(r.bridges, name, to)
	case raftstore.TablePorts:
		put(r.ports, name, to)
	}
}

func put[T proto.Message](rows map[string]T, name string, to proto.Message) {
	if row, ok := to.(T); ok && to != nil {
		rows[name] = row
		return
	}
	delete(rows, name)
}

// derive computes the host's PIFs by UUID.
func (r *hostRows) derive(view *raftstore.View, host string) map[string]*v1.Pif {
	pool := view.Host(host).GetPoolUuid()
	network := func(bridge string) string { return view.NetworkByPoolBridge(pool, bridge).GetUuid() }
	byName := func(a, b string) int { return strings.Compare(a, b) }
	var bridges []*storev1.Bridge
	for _, name := range slices.SortedFunc(maps.Keys(r.bridges), byName) {
		bridges = append(bridges, r.bridges[name])
	}
	var ports []*storev1.Port
	for _, name := range slices.SortedFunc(maps.Keys(r.ports), byName) {
		ports = append(ports, r.ports[name])
	}
	out := map[string]*v1.Pif{}
	for _, p := range raftstore.DerivePifs(bridges, ports, network) {
		out[p.GetUuid()] = p
	}
	return out
}

// pifDifference lists what became different, ordered by UUID.
func pifDifference(before, after map[string]*v1.Pif) []*v1.Change {
	ids := map[string]bool{}
	for id := range before {
		ids[id] = true
	}
	for id := range after {
		ids[id] = true
	}
	var out []*v1.Change
	for _, id := range sortedKeys(ids) {
		was, is := before[id], after[id]
		switch {
		case is == nil:
			out = append(out, change(was, nil))
		case !proto.Equal(was, is):
			out = append(out, change(nil, is))
		}
	}
	return out
}
