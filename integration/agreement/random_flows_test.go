package agreement

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
)

var (
	seedFlag    = flag.Uint64("agreement.seed", 0, "seed of the random policies and packets; 0: another each time")
	packetsFlag = flag.Int("agreement.packets", 20000, "how many packets to compare over all policies")
)

// seeded returns a source of randomness and logs how to have the same again.
func seeded(t *testing.T) (*rand.Rand, uint64) {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed: go test -run %s -agreement.seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 1)), seed
}

// randomTables writes flows that have nothing to do with any policy: they use all
// that the evaluator knows, in combinations that the compiler never makes.
type randomTables struct {
	pool
	lines []string
	used  map[string]bool
}

const lastTable = 12

func (r *randomTables) flows(n int) string {
	r.used = make(map[string]bool)
	r.lines = []string{"delete"}
	for table := range lastTable + 1 {
		r.add(table, 0, "", r.actions(table, ""))
	}
	for range n {
		table := r.IntN(lastTable + 1)
		match, ip := r.match()
		r.add(table, 1+r.IntN(1000), match, r.actions(table, ip))
	}
	for id := range 12 {
		r.conjunction(id + 1)
	}
	return strings.Join(r.lines, "\n") + "\n"
}

// add adds a flow unless there is one of that priority in the table: which of two
// flows of one priority wins is not defined.
func (r *randomTables) add(table, priority int, match, actions string) {
	if key := fmt.Sprint(table, priority); !r.used[key] {
		r.used[key] = true
		r.line(table, priority, match, actions)
	}
}

func (r *randomTables) line(table, priority int, match, actions string) {
	if match != "" {
		match += ","
	}
	r.lines = append(r.lines, fmt.Sprintf("add table=%d,priority=%d,cookie=%#x,%sactions=%s", table, priority, len(r.lines), match, actions))
}

// conjunction adds the clauses of one conjunction, and the flow that matches it.
func (r *randomTables) conjunction(id int) {
	table, priority, n := r.IntN(lastTable+1), 1+r.IntN(1000), 2+r.IntN(2)
	if r.used[fmt.Sprint(table, priority)] {
		return
	}
	r.used[fmt.Sprint(table, priority)] = true
	dimensions := [][]string{
		{"ip,nw_src=" + r.prefix4(), "ip,nw_src=" + r.prefix4(), "ip,nw_src=" + r.prefix4()},
		{"tcp,tcp_dst=" + r.port(), "udp,udp_dst=" + r.port(), "tcp,tcp_dst=" + r.port()},
		{"dl_src=" + pick(r.Rand, r.macs).String(), "vlan_tci=0"},
	}
	for clause, matches := range dimensions[:n] {
		slices.Sort(matches)
		for _, m := range slices.Compact(matches) {
			actions := fmt.Sprintf("conjunction(%d,%d/%d)", id, clause+1, n)
			if r.chance(6) {
				actions += fmt.Sprintf(",conjunction(%d,%d/%d)", id+100, clause+1, n)
			}
			r.line(table, priority, m, actions)
		}
	}
	r.line(table, priority, fmt.Sprintf("conj_id=%d,ip", id), r.actions(table, "ip"))
}

func (r *randomTables) prefix4() string {
	return netip.PrefixFrom(pick(r.Rand, r.v4), pick(r.Rand, []int{32, 31, 24, 8})).Masked().String()
}

func (r *randomTables) prefix6() string {
	return netip.PrefixFrom(pick(r.Rand, r.v6), pick(r.Rand, []int{128, 127, 64, 10})).Masked().String()
}

func (r *randomTables) port() string {
	if r.chance(3) {
		return fmt.Sprintf("%#x/%#x", pick(r.Rand, r.transports)&0xfffc, 0xfffc)
	}
	return fmt.Sprint(pick(r.Rand, r.transports))
}

// match makes a match. ip is "ip" or "ipv6" when it demands that.
func (r *randomTables) match() (match, ip string) {
	var parts []string
	for _, option := range []string{
		fmt.Sprintf("in_port=%d", pick(r.Rand, r.ports)), "dl_src=" + pick(r.Rand, r.macs).String(),
		"dl_dst=" + pick(r.Rand, r.macs).String(), "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
		fmt.Sprintf("dl_vlan=%d", pick(r.Rand, r.vlans)), "vlan_tci=0x1000/0x1000", "vlan_tci=0",
		fmt.Sprintf("reg%d=%#x/%#x", r.IntN(3), r.IntN(4), 0x3), "metadata=0",
	} {
		if r.chance(8) && !slices.ContainsFunc(parts, func(p string) bool {
			return p[:5] == option[:5] || p[:3] == "vla" && option[:4] == "dl_v" || p[:4] == "dl_v" && option[:3] == "vla"
		}) {
			parts = append(parts, option)
		}
	}
	kind, ip := r.kind()
	if kind != "" {
		parts = append(parts, kind)
	}
	if ip != "" && !strings.Contains(kind, "ct_") && r.chance(3) {
		parts = append(parts, pick(r.Rand, []string{
			"ct_state=+trk+est", "ct_state=-trk", "ct_state=+trk-inv+rpl", "ct_state=+rel+trk", "ct_state=+new", "ct_zone=3",
			"ct_state=+trk-inv,ct_tp_dst=" + fmt.Sprint(pick(r.Rand, r.transports)), "ct_state=+trk-inv,ct_nw_proto=6",
		}))
	}
	return strings.Join(parts, ","), ip
}

func (r *randomTables) kind() (match, ip string) {
	switch r.IntN(16) {
	case 0:
		return "arp,arp_op=" + fmt.Sprint(1+r.IntN(2)), ""
	case 1:
		return "arp,arp_spa=" + r.prefix4() + ",arp_sha=" + pick(r.Rand, r.macs).String(), ""
	case 2:
		return "ip,nw_src=" + r.prefix4(), "ip"
	case 3:
		return "ip,nw_dst=" + r.prefix4() + ",ip_frag=" + pick(r.Rand, []string{"no", "yes", "later", "not_later"}), "ip"
	case 4:
		return "tcp,tcp_dst=" + r.port() + ",tcp_src=" + r.port(), "ip"
	case 5:
		return "udp6,udp_src=" + r.port(), "ipv6"
	case 6:
		return "sctp,sctp_dst=" + r.port(), "ip"
	case 7:
		return fmt.Sprintf("icmp,icmp_type=%d", pick(r.Rand, []int{0, 3, 8})), "ip"
	case 8:
		return fmt.Sprintf("icmp6,icmpv6_type=%d,icmpv6_code=0,nd_target=%s", 135+r.IntN(2), r.prefix6()), "ipv6"
	case 9:
		return "icmp6,icmpv6_type=135,icmpv6_code=0,nd_sll=" + pick(r.Rand, r.macs).String(), "ipv6"
	case 10:
		return "ipv6,ipv6_src=" + r.prefix6() + ",ipv6_dst=" + r.prefix6(), "ipv6"
	case 11:
		return fmt.Sprintf("ipv6,nw_proto=%d", pick(r.Rand, []int{47, 58, 112})), "ipv6"
	case 12:
		return "ip,ct_state=+trk-inv,ct_nw_src=" + r.prefix4(), "ip"
	case 13:
		return "ipv6,ct_state=+trk-inv,ct_ipv6_dst=" + r.prefix6(), "ipv6"
	}
	return "", ""
}

// actions makes a list of actions for a flow whose match demands ip ("ip", "ipv6" or "").
func (r *randomTables) actions(table int, ip string) string {
	var list []string
	for range r.IntN(4) {
		list = append(list, r.action(table, ip))
	}
	if table < lastTable && !r.chance(5) {
		list = append(list, fmt.Sprintf("goto_table:%d", table+1+r.IntN(lastTable-table)))
	}
	if len(list) == 0 {
		return "drop"
	}
	return strings.Join(list, ",")
}

func (r *randomTables) action(table int, ip string) string {
	next := table
	if table < lastTable {
		next += 1 + r.IntN(lastTable-table)
	}
	switch r.IntN(14) {
	case 12:
		if next == table {
			return "IN_PORT"
		}
		return fmt.Sprintf("clone(push_vlan:0x8100,set_field:%d->vlan_vid,load:%#x->NXM_NX_REG%d[],resubmit(,%d),output:%d)",
			4096+pick(r.Rand, r.vlans), r.IntN(4), r.IntN(3), next, 1+r.IntN(5))
	case 13:
		return "push_vlan:0x8100,output:2,pop_vlan"
	case 0, 1:
		return fmt.Sprintf("output:%d", 1+r.IntN(5))
	case 2:
		return fmt.Sprintf("load:%#x->NXM_NX_REG%d[%d..%d]", r.IntN(4), r.IntN(3), 0, 1+r.IntN(20))
	case 3:
		return fmt.Sprintf("move:NXM_OF_ETH_SRC[0..7]->NXM_NX_REG%d[8..15]", r.IntN(3))
	case 4:
		if next == table {
			return "IN_PORT"
		}
		return "push:NXM_OF_ETH_DST[],move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],resubmit(," + fmt.Sprint(next) + "),pop:NXM_OF_ETH_DST[]"
	case 5:
		return "push:NXM_NX_REG1[0..15]"
	case 6:
		return "pop:NXM_NX_REG2[16..31]"
	case 7, 8:
		if next > table {
			return fmt.Sprintf("resubmit(,%d)", next)
		}
		return "IN_PORT"
	case 9:
		if ip != "" && next > table {
			return pick(r.Rand, []string{
				fmt.Sprintf("clone(ct(table=%d,zone=2),output:3)", next), fmt.Sprintf("clone(ct_clear,resubmit(,%d))", next),
				fmt.Sprintf("ct(table=%d,zone=%d)", next, 1+r.IntN(4)), fmt.Sprintf("ct(table=%d,zone=NXM_NX_REG1[0..15])", next),
				"ct(commit,zone=NXM_NX_REG1[0..15])", "ct_clear",
			})
		}
		return "output:NXM_NX_REG2[0..15]"
	case 10:
		return "load:0x5->NXM_OF_ETH_SRC[0..3]"
	}
	return fmt.Sprintf("set_field:%v->eth_dst", pick(r.Rand, r.macs))
}

// TestRandomFlows holds the evaluator against the switch on flows that no policy is
// behind.
func TestRandomFlows(t *testing.T) {
	source, _ := seeded(t)
	b := startBridge(t, 5)
	total, started := 0, time.Now()
	for round := range 20 {
		r := &randomTables{pool: smallPool(source)}
		text := r.flows(150)
		b.installText(t, text)
		dumped := b.dump(t)
		tables, err := walk.New(slices.Values(dumped))
		if err != nil {
			t.Fatal(err)
		}
		for range *packetsFlag / 40 {
			p, states := r.packet(), r.states()
			r.connect(&p)
			want, err := b.trace(p, states)
			if err != nil {
				t.Fatalf("%s: %v", p.Text(), err)
			}
			got := evaluate(tables, p, states, func(port uint32) bool { return port == 0 || port > 5 })
			if d := difference(got, want, nil); d != "" {
				t.Fatalf("round %d: %s\npacket %s\nstates %v\n%s\n%s\n%s", round, d, p.Text(), states, narrate(got), want.text, text)
			}
			total++
		}
	}
	t.Logf("%d packets, %.0f a second", total, float64(total)/time.Since(started).Seconds())
}

func smallPool(r *rand.Rand) pool {
	return pool{
		Rand: r, ports: []uint32{1, 2, 3, 4}, macs: []flow.MAC{mac(1), mac(2), mac(3), mac(4)},
		v4:         []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("198.51.100.9")},
		v6:         []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("fe80::1")},
		transports: []uint16{0, 22, 53, 80, 81, 8080, 65535}, vlans: []uint16{0, 7, 10},
	}
}

// states makes what the connection tracker says, each time it is asked.
func (w *pool) states() []uint32 {
	const trk = walk.CTTracked
	list := make([]uint32, w.IntN(3))
	for i := range list {
		list[i] = pick(w.Rand, []uint32{trk | walk.CTNew, trk | walk.CTEstablished, trk | walk.CTEstablished | walk.CTReply,
			trk | walk.CTRelated | walk.CTNew, trk | walk.CTRelated | walk.CTReply | walk.CTEstablished, trk | walk.CTInvalid})
	}
	return list
}

// connect gives a packet the tuple of the connection that it belongs to.
func (w *pool) connect(p *walk.Packet) {
	if !p.IsIP() || p.IsNeighbor() || w.chance(3) {
		return
	}
	p.Connection = p.OwnTuple(walk.CTTracked | walk.CTNew)
	if p.Fragment == walk.LaterFragment {
		p.Connection.SrcPort, p.Connection.DstPort = pick(w.Rand, w.transports), pick(w.Rand, w.transports)
	}
	if w.chance(2) {
		c := &p.Connection
		c.Src, c.Dst, c.SrcPort, c.DstPort = c.Dst, c.Src, c.DstPort, c.SrcPort
	}
}
