package flow

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// defaultPriority is OFP_DEFAULT_PRIORITY, which ovs-ofctl leaves out.
const defaultPriority = 0x8000

// TextOptions gives tables and ports names in text. A nil function, or one
// that returns "", leaves the number.
type TextOptions struct {
	TableName func(table uint8) string
	PortName  func(port uint32) string
}

// String returns the flow as `ovs-ofctl -O OpenFlow13 --no-stats dump-flows`
// prints it, less the blank at the start of the line.
func (f Flow) String() string { return f.Text(TextOptions{}) }

// Text is [Flow.String] with names.
func (f Flow) Text(options TextOptions) string {
	p := printer{options: options}
	if f.Cookie != 0 {
		p.printf("cookie=0x%x, ", f.Cookie)
	}
	if f.Table != 0 {
		p.str("table=").table(f.Table).str(", ")
	}
	p.flow(&f)
	return string(p.b)
}

// String returns the entry as `ovs-ofctl -O OpenFlow13 dump-flows` prints it,
// less the blank at the start of the line.
func (s Stats) String() string { return s.Text(TextOptions{}) }

// Text is [Stats.String] with names.
func (s Stats) Text(options TextOptions) string {
	p := printer{options: options}
	p.printf("cookie=0x%x, duration=", s.Cookie)
	p.duration(s.Duration)
	p.str(", table=").table(s.Table)
	p.printf(", n_packets=%d, n_bytes=%d, ", s.Packets, s.Bytes)
	p.flow(&s.Flow)
	return string(p.b)
}

// String returns the match in ovs-ofctl's notation, without a priority. A
// match of everything is "".
func (m Match) String() string {
	var p printer
	p.match(m)
	return string(p.b)
}

// String returns the actions in ovs-ofctl's notation, "drop" if there are none.
func (i Instructions) String() string {
	var p printer
	p.instructions(i)
	return string(p.b)
}

// printer collects text. Its methods return it where that lets calls be chained.
type printer struct {
	b       []byte
	options TextOptions
}

// flow appends what a flow has in common with and without statistics.
func (p *printer) flow(f *Flow) {
	if f.IdleTimeout != 0 {
		p.str("idle_timeout=").dec(uint64(f.IdleTimeout)).str(", ")
	}
	if f.HardTimeout != 0 {
		p.str("hard_timeout=").dec(uint64(f.HardTimeout)).str(", ")
	}
	for bit, name := range flowFlagNames() {
		if f.Flags&(1<<bit) != 0 {
			p.str(name).str(" ")
		}
	}
	start := len(p.b)
	if f.Priority != defaultPriority {
		p.str("priority=").dec(uint64(f.Priority)).str(",")
	}
	p.match(f.Match)
	p.trimComma()
	if len(p.b) > start {
		p.str(" ")
	}
	p.str("actions=").instructions(f.Instructions)
}

// flowFlagNames returns the names of the flow flags from bit 0 up.
func flowFlagNames() [5]string {
	return [5]string{"send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"}
}

// duration prints three decimals if these are exact, else nine, and none for whole seconds.
func (p *printer) duration(d time.Duration) {
	seconds, fraction := d/time.Second, d%time.Second
	p.dec(uint64(seconds))
	switch {
	case fraction == 0:
	case fraction%time.Millisecond == 0:
		p.printf(".%03d", fraction/time.Millisecond)
	default:
		p.printf(".%09d", fraction)
	}
	p.str("s")
}

func (p *printer) str(s string) *printer {
	p.b = append(p.b, s...)
	return p
}

func (p *printer) dec(v uint64) *printer {
	p.b = strconv.AppendUint(p.b, v, 10)
	return p
}

// hex prints as C's %#x does: 0 without a prefix.
func (p *printer) hex(v uint64) *printer {
	if v == 0 {
		return p.str("0")
	}
	p.b = strconv.AppendUint(append(p.b, "0x"...), v, 16)
	return p
}

// hexBytes prints a number of any length as hex does.
func (p *printer) hexBytes(v []byte) *printer {
	for len(v) > 0 && v[0] == 0 {
		v = v[1:]
	}
	if len(v) == 0 {
		return p.str("0")
	}
	text := hex.EncodeToString(v)
	if text[0] == '0' {
		text = text[1:]
	}
	return p.str("0x").str(text)
}

// dotted prints bytes in hex with dots between, as notes and user data are.
func (p *printer) dotted(v []byte) *printer {
	for i, octet := range v {
		if i > 0 {
			p.str(".")
		}
		p.printf("%02x", octet)
	}
	return p
}

func (p *printer) printf(format string, args ...any) *printer {
	p.b = fmt.Appendf(p.b, format, args...)
	return p
}

// trimComma takes a trailing comma off.
func (p *printer) trimComma() {
	if n := len(p.b); n > 0 && p.b[n-1] == ',' {
		p.b = p.b[:n-1]
	}
}

// table prints a table's name or number.
func (p *printer) table(table uint8) *printer {
	if p.options.TableName != nil {
		if name := p.options.TableName(table); name != "" {
			return p.str(name)
		}
	}
	return p.dec(uint64(table))
}

// port prints an OpenFlow 1.3 port: the reserved ones by name.
func (p *printer) port(port uint32) *printer {
	if name := reservedPortName(port); name != "" {
		return p.str(name)
	}
	if p.options.PortName != nil {
		if name := p.options.PortName(port); name != "" {
			return p.str(name)
		}
	}
	return p.dec(uint64(port))
}

// port16 prints a port as Nicira actions have it: 16 bits, reserved ones from 0xff00 up.
func (p *printer) port16(port uint16) *printer { return p.port(widenPort(port)) }

// widenPort maps a 16-bit port number of OpenFlow 1.0 to that of 1.3.
func widenPort(port uint16) uint32 {
	if port >= 0xff00 {
		return uint32(port) | 0xffff0000
	}
	return uint32(port)
}

func reservedPortName(port uint32) string {
	switch port {
	case 0xfffffff7:
		return "UNSET"
	case PortInPort:
		return "IN_PORT"
	case PortTable:
		return "TABLE"
	case PortNormal:
		return "NORMAL"
	case PortFlood:
		return "FLOOD"
	case PortAll:
		return "ALL"
	case PortController:
		return "CONTROLLER"
	case PortLocal:
		return "LOCAL"
	case PortAny:
		return "ANY"
	}
	return ""
}
