package walk

import (
	"errors"
	"fmt"
	"iter"

	"poolwire/southbound/openflow/flow"
)

// ErrTooMuch says that a packet took more lookups than a switch allows.
var ErrTooMuch = errors.New("too many lookups")

const (
	// maxLookups is how many resubmits and goto_tables Open vSwitch allows between two
	// ct actions (MAX_RESUBMITS).
	maxLookups = 4096
	// maxDepth is how deep resubmits to the same or an earlier table may be (MAX_DEPTH).
	maxDepth = 64
	// maxSteps bounds what ct actions may make of one packet: each begins anew with
	// maxLookups.
	maxSteps = 1 << 16
)

// Tables are the flows of one bridge. They are safe for concurrent use.
type Tables struct {
	tables [256]table
}

// New prepares flows for evaluation. It returns an error that wraps [ErrUnsupported]
// when it meets something that this package does not know, and one that wraps
// flow.ErrMalformed when a flow's encoding cannot be read.
func New(flows iter.Seq[flow.Flow]) (*Tables, error) {
	var builders [256]tableBuilder
	programs := make(map[flow.Instructions]*program)
	for f := range flows {
		p := programs[f.Instructions]
		if p == nil {
			var err error
			if p, err = parseProgram(f.Instructions); err != nil {
				return nil, fmt.Errorf("flow %v: %w", f, err)
			}
			programs[f.Instructions] = p
		}
		match, err := parseMatch(f.Match)
		if err != nil {
			return nil, fmt.Errorf("flow %v: %w", f, err)
		}
		b := &builders[f.Table]
		if b.byMask == nil {
			b.byMask = make(map[string]*tuple)
		}
		b.add(&entry{flow: &f, program: p, priority: f.Priority}, match)
	}
	t := new(Tables)
	for n := range builders {
		t.tables[n] = builders[n].build()
	}
	return t, nil
}

// run is the walk of one packet.
type run struct {
	tables  *Tables
	options Options
	trace   Trace

	// These are what a ct action freezes and a stretch begins with.
	packet key
	stack  []stackItem

	// tracked is true from when the tracker has looked at the packet to the next ct action.
	tracked bool

	// table is where the flow at hand was found, step the number of its lookup.
	table     uint8
	step      int
	resubmits int
	depth     int
	deepened  int
	lookups   int

	frozen []frozen
}

// stackItem is one value put aside, at most 128 bits.
type stackItem struct{ high, low uint64 }

// frozen is a packet that waits to be looked at again.
type frozen struct {
	packet key
	stack  []stackItem
	table  uint8
	zone   uint16
}

// Run says what becomes of a packet that comes in.
func (t *Tables) Run(p Packet, o Options) Trace {
	x := &run{tables: t, options: o, packet: p.key(), tracked: p.Connection.State != 0}
	x.stretch(0)
	for len(x.frozen) > 0 && x.trace.Err == nil {
		f := x.frozen[0]
		x.frozen = x.frozen[1:]
		x.packet, x.stack = f.packet, f.stack
		x.track(f.zone)
		x.stretch(f.table)
	}
	if x.trace.Err != nil {
		x.trace.Outputs, x.trace.Commits = nil, nil
	}
	return x.trace
}

// track asks what the connection tracker says of the packet.
func (x *run) track(zone uint16) {
	p := x.packet.packet()
	c := p.OwnTuple(CTTracked | CTNew)
	if x.options.CT != nil {
		c = x.options.CT(zone, p)
	}
	c.Zone = zone
	x.packet.setConnection(c)
	x.tracked = true
}

// stretch walks from a table on until the packet leaves the tables.
func (x *run) stretch(from uint8) {
	x.lookups, x.resubmits, x.depth, x.deepened = 0, 0, 0, 0
	if len(x.trace.Steps) >= maxSteps {
		x.trace.Err = ErrTooMuch
		return
	}
	x.lookup(from)
	x.trace.Ends = append(x.trace.Ends, x.packet.packet())
}

// lookup looks the packet up and does what the flow says, goto_table included.
func (x *run) lookup(table uint8) {
	for again := true; again && x.trace.Err == nil; {
		var p *program
		x.table = table
		if p = x.match(table); p == nil {
			return
		}
		step := x.step
		for _, op := range p.actions {
			if op.run(x); x.trace.Err != nil {
				return
			}
			x.table, x.step = table, step
		}
		if again = p.hasNext; again {
			table = p.next
			x.count()
		}
	}
}

// match finds the flow for the packet in a table and notes the step.
func (x *run) match(table uint8) *program {
	hit, clauses := x.tables.tables[table].lookup(&x.packet, x.options.FragmentPorts)
	s := Step{Table: table, Depth: x.depth, Stretch: len(x.trace.Ends), Packet: x.packet.packet()}
	for _, c := range clauses {
		s.Clauses = append(s.Clauses, c.flow)
	}
	x.step = len(x.trace.Steps)
	if hit == nil {
		x.trace.Steps = append(x.trace.Steps, s)
		return nil
	}
	s.Flow = hit.flow
	x.trace.Steps = append(x.trace.Steps, s)
	return hit.program
}

// count counts one lookup more, and gives up when there are too many.
func (x *run) count() {
	if x.lookups++; x.lookups > maxLookups || len(x.trace.Steps) >= maxSteps {
		x.trace.Err = ErrTooMuch
	}
}
