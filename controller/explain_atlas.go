package controller

import (
	"fmt"
	"iter"
	"net/netip"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// atlas has the bridges of one state as they are compiled, each compiled once.
type atlas struct {
	view    *raftstore.View
	bridges map[bridgeAt]*charted
	// placed has the addresses of VIFs, by UUID.
	placed map[string][]placed
	// learned are flows that the switches have made by themselves, or so it is assumed.
	learned []flow.Flow
}

// charted is one bridge, ready to be walked over.
type charted struct {
	tables *walk.Tables
	ports  map[uint32]flowcompiler.PortConfig
	// prefixes has, by table, the addresses that its flows tell apart.
	prefixes map[uint8][]netip.Prefix
}

func newAtlas(view *raftstore.View) *atlas {
	return &atlas{view: view, bridges: map[bridgeAt]*charted{}, placed: map[string][]placed{}}
}

// chart compiles a bridge, once.
func (a *atlas) chart(at bridgeAt) (*charted, error) {
	if c := a.bridges[at]; c != nil {
		return c, nil
	}
	program, err := compileBridge(a.view, at)
	if err != nil {
		return nil, err
	}
	if program == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoBridge, at.bridge)
	}
	tables, err := walk.New(a.withLearned(program.Flows()))
	if err != nil {
		return nil, fmt.Errorf("tables of %s: %w", at.bridge, err)
	}
	c := &charted{tables: tables, ports: program.PortConfigs(), prefixes: map[uint8][]netip.Prefix{}}
	a.bridges[at] = c
	return c, nil
}

func (a *atlas) withLearned(flows iter.Seq[flow.Flow]) iter.Seq[flow.Flow] {
	return func(yield func(flow.Flow) bool) {
		for f := range flows {
			if !yield(f) {
				return
			}
		}
		for _, f := range a.learned {
			if !yield(f) {
				return
			}
		}
	}
}

// run walks a packet over the bridge. All connection trackers say the same of it.
func (c *charted) run(p walk.Packet, connection walk.Connection) walk.Trace {
	return c.tables.Run(p, walk.Options{
		FragmentPorts: true, Blocked: c.shut,
		CT: func(uint16, walk.Packet) walk.Connection { return connection },
	})
}

// shut says whether nothing leaves by a port. The switch's own forwarding heeds that too.
func (c *charted) shut(port uint32) bool { return c.ports[port].NoForward }

// told lists the prefixes that the flows of a table tell apart.
func (c *charted) told(table uint8) []netip.Prefix {
	p, known := c.prefixes[table]
	if !known {
		p = c.tables.Prefixes(table)
		c.prefixes[table] = p
	}
	return p
}
