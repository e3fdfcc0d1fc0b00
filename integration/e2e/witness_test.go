package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// witness writes down every change of a host's flows, by the switch's own flow monitor (ovs-ofctl(8), "watch:"), and
// reads every change of its database from the database's own log (ovsdb-tool(1), show-log), in which columns of status
// do not appear. What is learned from traffic is no change.
type witness struct {
	host     *lab.Host
	monitors map[string]*lab.Process // by bridge
	read     map[string]int          // how far each monitor's output has been read, in bytes
	actions  map[string]string       // of each flow, as last reported, by bridge, table and match
	records  int                     // how many records of the database have been read
	marks    int
}

// witnessCookie marks the flows by which a witness knows that it has seen all that was before.
const witnessCookie = 0xfeed0000

// newWitness watches the bridges that a host has now.
func newWitness(t *testing.T, h *lab.Host) *witness {
	t.Helper()
	w := &witness{host: h, monitors: map[string]*lab.Process{}, read: map[string]int{}, actions: map[string]string{}}
	for bridge := range strings.FieldsSeq(vsctl(t, h, "list-br")) {
		p, err := h.Start(lab.ProcessOptions{
			Name: h.ShortName + "-witness-" + bridge,
			Env:  []string{"OVS_RUNDIR=" + h.Dir},
			Args: []string{"ovs-ofctl", "monitor", filepath.Join(h.Dir, bridge+".mgmt"), "watch:"},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.monitors[bridge] = p
		// What is put in while the switch lists what it has may be in the list, and its end be told to nobody.
		eventually(t, func(context.Context) error {
			text, err := os.ReadFile(p.Log())
			if err == nil && !strings.Contains(string(text), "FLOW_MONITOR reply") {
				err = fmt.Errorf("the monitor of %s on %s has not begun", bridge, h.ShortName)
			}
			return err
		})
	}
	w.seen(t)
	return w
}

// change is one change that a witness has seen: of a flow, or of a row.
type change struct {
	where, what string
	// before are the actions that a modified flow had.
	before string
}

func (c change) String() string { return c.where + ": " + c.what }

// changes are those of flows and of rows.
type changes struct{ flows, rows []change }

// seen returns what has changed since it was asked last.
func (w *witness) seen(t *testing.T) changes {
	t.Helper()
	var out changes
	w.marks++
	for bridge := range w.monitors {
		out.flows = append(out.flows, w.flowsOf(t, bridge)...)
	}
	out.rows = w.rows(t)
	return out
}

// flowsOf returns the events on one bridge up to now. A flow of its own, put in last, says that none is on its way.
func (w *witness) flowsOf(t *testing.T, bridge string) []change {
	t.Helper()
	ctx := within(t, 30*time.Second)
	cookie := fmt.Sprintf("cookie=%#x", witnessCookie+w.marks)
	if _, err := w.host.Ofctl(ctx, "add-flow", bridge, "table=250,priority=1,"+cookie+",actions=drop"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.host.Ofctl(ctx, "del-flows", bridge, "table=250,"+cookie+"/-1"); err != nil {
		t.Fatal(err)
	}
	var text string
	eventually(t, func(context.Context) error {
		all, err := os.ReadFile(w.monitors[bridge].Log())
		if err != nil {
			return err
		}
		text = string(all[w.read[bridge]:])
		if !strings.HasSuffix(text, "\n") || !strings.Contains(text, "event=DELETED") || !strings.Contains(text[strings.LastIndex(text, "event=DELETED"):], cookie) {
			return fmt.Errorf("the monitor of %s on %s has not seen the mark yet:\n%s", bridge, w.host.ShortName, text)
		}
		w.read[bridge] = len(all)
		return nil
	})
	var out []change
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "event=") || strings.Contains(line, "table=250") || strings.Contains(line, "table=35 ") {
			continue
		}
		event, flow, _ := strings.Cut(line, " table=")
		match, actions, _ := strings.Cut(flow, " actions=")
		key := bridge + " " + cookieOf.ReplaceAllString(match, "")
		out = append(out, change{where: w.host.ShortName + " " + bridge, what: line, before: w.actions[key]})
		if w.actions[key] = actions; strings.HasPrefix(event, "event=DELETED") {
			delete(w.actions, key)
		}
	}
	return out
}

// cookieOf is a flow's cookie, which may change while the flow stays.
var cookieOf = regexp.MustCompile(` cookie=0x[0-9a-f]+`)

// record begins a record of the database's log.
var record = regexp.MustCompile(`(?m)^record \d+:`)

// rows returns the rows that were written since it was asked last, one line each.
func (w *witness) rows(t *testing.T) []change {
	t.Helper()
	out, err := w.host.Run(within(t, 30*time.Second), "ovsdb-tool", "-m", "show-log", filepath.Join(w.host.Dir, "conf.db"))
	if err != nil {
		t.Fatal(err)
	}
	at := record.FindAllStringIndex(out, -1)
	if len(at) < w.records {
		t.Fatalf("the log of %s has shrunk from %d records to %d", w.host.ShortName, w.records, len(at))
	}
	var all []change
	for _, a := range at[w.records:] {
		text := out[a[0]:]
		if next := record.FindStringIndex(text[1:]); next != nil {
			text = text[:next[0]+1]
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "table ") {
				all = append(all, change{where: w.host.ShortName, what: line})
			}
		}
	}
	w.records = len(at)
	return all
}

// calm fails the test when anything was written on a host since it was asked last.
func calm(t *testing.T, when string, all ...*witness) {
	t.Helper()
	for _, w := range all {
		got := w.seen(t)
		t.Logf("%s: %s has had %d flow changes and %d rows written", when, w.host.ShortName, len(got.flows), len(got.rows))
		for _, c := range slices.Concat(got.flows, got.rows) {
			t.Errorf("%s: a bystander was touched: %s", when, c)
		}
	}
}

// only fails the test when a host was touched in what does not lead to the one host behind a tunnel, and returns what
// was done.
func (w *witness) only(t *testing.T, when string, to tunnelEnd) changes {
	t.Helper()
	got := w.seen(t)
	t.Logf("%s: %s has had %d flow changes and %d rows written", when, w.host.ShortName, len(got.flows), len(got.rows))
	for _, c := range got.flows {
		if !to.concerns(c) {
			t.Errorf("%s: a flow that leads elsewhere: %s; it had %q", when, c, c.before)
		}
	}
	for _, c := range got.rows {
		if !strings.Contains(c.what, ` row "`+to.name+`" `) && !strings.HasPrefix(c.what, `table Bridge row "pw-overlay" `) {
			t.Errorf("%s: a row of something else: %s", when, c)
		}
	}
	return got
}

// tunnelEnd is a tunnel interface, its OpenFlow port, and the object id of the host behind it.
type tunnelEnd struct{ name, number, peer string }

// tunnelTo is the tunnel of a host to an address.
func tunnelTo(t *testing.T, h *lab.Host, addr string) tunnelEnd {
	t.Helper()
	out := strings.Fields(vsctl(t, h, "--bare", "--no-heading", "--columns=name,ofport", "find", "Interface", "options:remote_ip="+addr))
	if len(out) != 2 {
		t.Fatalf("%s has no tunnel to %s: %q", h.ShortName, addr, out)
	}
	return tunnelEnd{name: out[0], number: out[1], peer: strings.TrimPrefix(out[0], "pwv")}
}

// concerns tells whether a flow has to do with the tunnel alone: it comes or goes and is about the host behind it, or it
// floods and has the tunnel more, or less, than before.
func (e tunnelEnd) concerns(c change) bool {
	_, flow, _ := strings.Cut(c.what, " table=")
	match, actions, _ := strings.Cut(flow, " actions=")
	if strings.HasPrefix(c.what, "event=MODIFIED") {
		without := func(s string) string { return strings.Replace(s+",", ",output:"+e.number+",", ",", 1) }
		return c.before != "" && c.before != actions && without(c.before) == without(actions)
	}
	cookie := cookieOf.FindString(match)
	return strings.HasSuffix(cookie, "00000"+e.peer) || strings.HasSuffix(match+",", "in_port="+e.number+",") || strings.Contains(match, "in_port="+e.number+",")
}
