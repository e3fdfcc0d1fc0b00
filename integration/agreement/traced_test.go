package agreement

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// traced is what ofproto/trace says, in the terms of the evaluator.
type traced struct {
	steps []step
	// outputs are ports by number, as in dpif/show.
	outputs []copyOut
	ends    []end
	// controller counts copies for the controller.
	controller int
	text       string
}

// step is one lookup: a priority of -1 stands for a miss.
type step struct {
	table    uint8
	priority int
	cookie   uint64
}

// copyOut is one copy of a packet that leaves.
type copyOut struct {
	port uint32
	// vlan is the VLAN id of its tag; 0 for none, or for a tag with VLAN id 0 (see tagged).
	vlan   uint16
	tagged bool
}

// end is a packet at the end of a stretch.
type end struct {
	registers map[int]uint32
	vlan      string
	ethernet  string
	// discovery is what a neighbour solicitation or advertisement says.
	discovery string
}

var (
	stepLine   = regexp.MustCompile(`^ *(\d+)\. (.*)$`)
	stepDetail = regexp.MustCompile(`(?:priority (\d+))?(?:, cookie (0x[0-9a-f]+))?$`)
	register   = regexp.MustCompile(`\breg(\d+)=(0x[0-9a-f]+|0)\b`)
	vlanOf     = regexp.MustCompile(`\b(dl_vlan=\d+,dl_vlan_pcp=\d+|vlan_tci=0x[0-9a-f]+)`)
	ethernetOf = regexp.MustCompile(`\bdl_src=[0-9a-f:]+,dl_dst=[0-9a-f:]+`)
	discovery  = regexp.MustCompile(`\b(?:ipv6_src|ipv6_dst|icmp_type|nd_target|nd_sll|nd_tll)=[0-9a-f:.]+`)
	innerVLAN  = regexp.MustCompile(`\bdl_vlan1=`)
	pushVLAN   = regexp.MustCompile(`^push_vlan\(vid=(\d+)`)
)

// parseTrace reads the text of ofproto/trace; ports maps datapath ports to OpenFlow ports.
func parseTrace(text string, ports map[string]uint32) (traced, error) {
	out := traced{text: text}
	current := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := stepLine.FindStringSubmatch(line); m != nil {
			s, err := parseStep(m[1], m[2])
			if err != nil {
				return out, err
			}
			out.steps = append(out.steps, s)
			continue
		}
		switch label, rest, _ := strings.Cut(line, ": "); label {
		case "Flow":
			current = rest
		case "Final flow":
			final := rest
			if final == "unchanged" {
				final = current
			}
			out.ends = append(out.ends, parseEnd(final))
		case "Datapath actions":
			if err := out.datapath(current, rest, ports); err != nil {
				return out, err
			}
		}
	}
	if len(out.ends) == 0 {
		return out, fmt.Errorf("not a trace:\n%s", text)
	}
	return out, nil
}

func parseStep(table, rest string) (step, error) {
	number, err := strconv.ParseUint(table, 10, 8)
	if err != nil {
		return step{}, fmt.Errorf("table %q: %w", table, err)
	}
	s := step{table: uint8(number), priority: -1}
	if strings.HasPrefix(rest, "No match") {
		return s, nil
	}
	m := stepDetail.FindStringSubmatch(rest)
	if m[1] == "" {
		return s, fmt.Errorf("no priority in %q", rest)
	}
	if s.priority, err = strconv.Atoi(m[1]); err == nil && m[2] != "" {
		s.cookie, err = strconv.ParseUint(m[2], 0, 64)
	}
	return s, err
}

func parseEnd(text string) end {
	e := end{registers: map[int]uint32{}, vlan: vlanOf.FindString(text), ethernet: ethernetOf.FindString(text)}
	if e.vlan == "vlan_tci=0x0000" {
		e.vlan = ""
	}
	if strings.Contains(text, "nd_target=") && strings.Contains(text, "nw_frag=no") && strings.Contains(text, "icmp_code=0,") {
		e.discovery = strings.Join(discovery.FindAllString(text, -1), " ")
	}
	for _, m := range register.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		value, _ := strconv.ParseUint(m[2], 0, 32)
		e.registers[n] = uint32(value)
	}
	return e
}

// datapath reads the actions of one stretch, which starts with the VLAN tag of flow.
func (t *traced) datapath(flow, actions string, ports map[string]uint32) error {
	var tags []uint16
	if innerVLAN.MatchString(flow) {
		// What it is does not matter: no flow looks at it before it is the outermost.
		tags = append(tags, 0)
	}
	if vlan, tagged := tagIn(vlanOf.FindString(flow)); tagged {
		tags = append(tags, vlan)
	}
	return t.run(tags, actions, ports)
}

// run reads actions that meet a packet with these tags, the outermost last.
func (t *traced) run(tags []uint16, actions string, ports map[string]uint32) error {
	for _, item := range splitActions(actions) {
		name, _, _ := strings.Cut(item, "(")
		switch {
		case name == "push_vlan":
			m := pushVLAN.FindStringSubmatch(item)
			vid, err := strconv.ParseUint(m[1], 10, 16)
			if err != nil {
				return err
			}
			tags = append(tags, uint16(vid))
		case name == "pop_vlan":
			tags = tags[:len(tags)-1]
		case name == "clone":
			if err := t.run(slices.Clone(tags), strings.TrimSuffix(strings.TrimPrefix(item, "clone("), ")"), ports); err != nil {
				return err
			}
		case name == "userspace":
			t.controller++
		case slices.Contains([]string{"ct", "recirc", "ct_clear", "set", "drop", "meter"}, name):
		default:
			port, ok := ports[item]
			if !ok {
				return fmt.Errorf("datapath action %q in %q", item, actions)
			}
			out := copyOut{port: port}
			if n := len(tags); n > 0 {
				out.vlan, out.tagged = tags[n-1], true
			}
			t.outputs = append(t.outputs, out)
		}
	}
	return nil
}

// tagIn reads the tag of a flow as ofproto/trace prints it.
func tagIn(text string) (vlan uint16, tagged bool) {
	var vid, pcp, tci uint64
	if n, _ := fmt.Sscanf(text, "dl_vlan=%d,dl_vlan_pcp=%d", &vid, &pcp); n == 2 {
		return uint16(vid), true
	}
	if n, _ := fmt.Sscanf(text, "vlan_tci=0x%x", &tci); n == 1 {
		return uint16(tci & 0xfff), tci&0x1000 != 0
	}
	return 0, false
}

// splitActions splits at commas that are not within parentheses.
func splitActions(text string) []string {
	var items []string
	depth, start := 0, 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				items = append(items, text[start:i])
				start = i + 1
			}
		}
	}
	return append(items, text[start:])
}
