package flow

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// statsEntry builds one ofp_flow_stats.
func statsEntry(tlvs, instructions []byte) []byte {
	entry := make([]byte, flowStatsHeaderLen)
	entry[2] = 3
	binary.BigEndian.PutUint32(entry[4:], 12)
	binary.BigEndian.PutUint32(entry[8:], 500_000_000)
	binary.BigEndian.PutUint16(entry[12:], 100)
	binary.BigEndian.PutUint64(entry[24:], 0x50)
	binary.BigEndian.PutUint64(entry[32:], 7)
	binary.BigEndian.PutUint64(entry[40:], 700)
	entry = Match(tlvs).appendWire(entry)
	entry = append(entry, instructions...)
	binary.BigEndian.PutUint16(entry, uint16(len(entry)))
	return entry
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// applying wraps actions into an apply_actions instruction.
func applying(actions []byte) []byte {
	b := []byte{0, 4, 0, 0, 0, 0, 0, 0}
	b = append(b, actions...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func TestDecodeStatsReadsEveryField(t *testing.T) {
	t.Parallel()
	want := Stats{
		Flow:     Flow{Table: 3, Priority: 100, Cookie: 0x50, Match: NewMatch().InPort(1).Build(), Instructions: Goto(9)},
		Duration: 12*time.Second + 500*time.Millisecond, Packets: 7, Bytes: 700,
	}
	entry := statsEntry([]byte(want.Match), []byte(want.Instructions))
	got, err := DecodeStats(append(entry, entry...))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != want || got[1] != want {
		t.Errorf("decoded %+v, want twice %+v", got, want)
	}
	const text = "cookie=0x50, duration=12.500s, table=3, n_packets=7, n_bytes=700, priority=100,in_port=1 actions=goto_table:9"
	if got[0].String() != text {
		t.Errorf("prints %q, want %q", got[0], text)
	}
	if got, err := DecodeStats(nil); err != nil || len(got) != 0 {
		t.Errorf("an empty body gives %v, %v", got, err)
	}
}

// TestDecodeStatsRefusesBadFraming has one case for each length that may lie.
func TestDecodeStatsRefusesBadFraming(t *testing.T) {
	t.Parallel()
	good := statsEntry([]byte(NewMatch().InPort(1).Build()), []byte(Goto(9)))
	patch := func(offset int, value uint16) []byte {
		b := append([]byte(nil), good...)
		binary.BigEndian.PutUint16(b[offset:], value)
		return b
	}
	const matchAt, tlvLengthAt, instructionLengthAt = 48, 54, 66
	for name, body := range map[string][]byte{
		"rest too short":         append(append([]byte(nil), good...), 1, 2, 3),
		"entry length 0":         patch(0, 0),
		"entry length past end":  patch(0, uint16(len(good)+1)),
		"entry without a match":  patch(0, 48),
		"match type standard":    patch(matchAt, 0),
		"match length 3":         patch(matchAt+2, 3),
		"match length past end":  patch(matchAt+2, 200),
		"field past match":       patch(tlvLengthAt, 0x0005),
		"half a field":           patch(matchAt+2, 7),
		"instruction length 0":   patch(instructionLengthAt, 0),
		"instruction length 7":   patch(instructionLengthAt, 7),
		"instruction past entry": patch(instructionLengthAt, 16),
		"half an instruction":    append(patch(0, uint16(len(good)+4)), 0, 0, 0, 0),
	} {
		if got, err := DecodeStats(body); !errors.Is(err, ErrMalformed) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for n := range good {
		if _, err := DecodeStats(good[:n]); err == nil && n != 0 {
			t.Errorf("cut to %d bytes: no error", n)
		}
	}
}

// TestDecodeKeepsWhatItDoesNotKnow feeds replies on which libOpenflow's
// decoders panic or loop: valid ones must come through whole, and text must
// stand in for what has no notation.
func TestDecodeKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	const output1 = "0000 0010 0000 0001 0000 000000000000"
	for name, c := range map[string]struct {
		tlvs, instructions, want string
	}{
		"meter instruction":             {"", "0006 0008 00000005 0001 0008 09 000000", "meter:5,goto_table:9"},
		"experimenter instruction":      {"", "ffff 0010 00002320 0000000000000000", "instruction(65535,0x000023200000000000000000)"},
		"unknown instruction":           {"", "00ff 0008 01020304", "instruction(255,0x01020304)"},
		"pop_vlan and output":           {"", "0004 0020 00000000 0012 0008 00000000" + output1, "pop_vlan,output:1"},
		"set_queue and output":          {"", "0004 0020 00000000 0015 0008 00000004" + output1, "set_queue:4,output:1"},
		"set_nw_ttl":                    {"", "0004 0010 00000000 0017 0008 40000000", "mod_nw_ttl:64"},
		"ct_clear":                      {"", "0004 0018 00000000 ffff 0010 00002320 002b 000000000000", "ct_clear"},
		"note":                          {"", "0004 0018 00000000 ffff 0010 00002320 0008 010203040506", "note:01.02.03.04.05.06"},
		"controller2":                   {"", "0004 0020 00000000 ffff 0018 00002320 0025 000000000000 0000 0006 0080 0000", "controller(max_len=128)"},
		"other vendor":                  {"", "0004 0018 00000000 ffff 0010 004f4e46 0c80 000000000000", "action(65535,0x004f4e460c80000000000000)"},
		"unknown action":                {"", "0004 0010 00000000 0063 0008 deadbeef", "action(99,0xdeadbeef)"},
		"unknown Nicira action":         {"", "0004 0018 00000000 ffff 0010 00002320 03e7 000000000000", "action(65535,0x0000232003e7000000000000)"},
		"Nicira action of length 0":     {"", "0004 0018 00000000 ffff 0000 00002320 0007 000000000000", "malformed(0xffff0000000023200007000000000000)"},
		"action past its list":          {"", "0004 0010 00000000 0000 0010 00000001", "malformed(0x0000001000000001)"},
		"load cut short":                {"", "0004 0018 00000000 ffff 0010 00002320 0007 000000000000", "action(65535,0x000023200007000000000000)"},
		"load into unknown field":       {"", "0004 0020 00000000 ffff 0018 00002320 0007 001f 7fff0004 0000000000000001", "action(65535,0x000023200007001f7fff00040000000000000001)"},
		"set_field past its action":     {"", "0004 0010 00000000 0019 0008 80000aff", "action(25,0x80000aff)"},
		"apply_actions without pad":     {"", "0004 0008 00000000", "drop"},
		"NXM class 0 field":             {"00000202 0001", "", "oxm"},
		"unlisted NXM class 1 field":    {"0001fe04 00000005", "", "oxm(0x0001,127)=0x00000005"},
		"unknown class":                 {"12340004 00000005", "", "oxm(0x1234,0)=0x00000005"},
		"unknown class, masked":         {"12340104 00050007", "", "oxm(0x1234,0)=0x0005/0x0007"},
		"experimenter field":            {"ffff0008 0badcafe 00000005", "", "oxm(0xffff,0)=0x0badcafe00000005"},
		"experimenter field, too short": {"ffff0002 0bad", "", "oxm(0xffff,0)=0x0bad"},
		"field of the wrong length":     {"80000002 0001", "", "oxm(0x8000,0)=0x0001"},
		"empty field":                   {"80000000", "", "oxm(0x8000,0)=0x"},
	} {
		body := statsEntry(unhex(t, c.tlvs), unhex(t, c.instructions))
		got, err := DecodeStats(body)
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		if string(got[0].Instructions) != string(unhex(t, c.instructions)) {
			t.Errorf("%s: instructions were changed to % x", name, got[0].Instructions)
		}
		if text := got[0].Flow.String(); !strings.Contains(text, c.want) && c.want != "oxm" {
			t.Errorf("%s: prints %q, want %q in it", name, text, c.want)
		}
	}
}

// TestNestedActionsEnd builds clones inside clones, deeper than any switch does.
func TestNestedActionsEnd(t *testing.T) {
	t.Parallel()
	var nested []byte
	for range 2000 {
		clone := append(unhex(t, "ffff 0000 00002320 002a 000000000000"), nested...)
		binary.BigEndian.PutUint16(clone[2:], uint16(len(clone)))
		nested = clone
	}
	text := Instructions(applying(nested)).String()
	if !strings.HasPrefix(text, strings.Repeat("clone(", maxNesting)) || !strings.Contains(text, "malformed(") {
		t.Errorf("prints %.100q", text)
	}
}

func TestCanonicalMatch(t *testing.T) {
	t.Parallel()
	want := NewMatch().InPort(1).EthType(0x0800).IPv4Src(mustPrefix("10.0.0.0/8")).VLANPresent().Reg(1, 5, 0xffffffff).Reg(0, 3, 0xf).Build()
	for name, wire := range map[string]string{
		"canonical":         hex.EncodeToString([]byte(want)),
		"any order":         "00010108 00000003 0000000f 80001708 0a000000 ff000000 80000a02 0800 80000d04 1000 1000 00010204 00000005 80000004 00000001",
		"full masks":        "80000108 00000001 ffffffff 80000b04 0800 ffff 80001708 0a000000 ff000000 80000d04 1000 1000 00010308 00000005 ffffffff 00010108 00000003 0000000f",
		"bits outside mask": "80000004 00000001 80000a02 0800 80001708 0a010203 ff000000 80000d04 1fff 1000 00010204 00000005 00010108 fffffff3 0000000f",
		"empty masks":       "80000004 00000001 80000708 000000000000000000000000 80000a02 0800 80001708 0a000000 ff000000 80000d04 1000 1000 00010204 00000005 00010108 00000003 0000000f",
	} {
		wire := unhex(t, wire)
		if name == "empty masks" {
			// The length of a masked MAC is 12.
			wire = []byte(strings.Replace(string(wire), "\x80\x00\x07\x08", "\x80\x00\x07\x0c", 1))
		}
		got, err := ParseMatch(wire)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got != want {
			t.Errorf("%s: %s\n% x, want %s\n% x", name, got, got, want, want)
		}
	}
	// Without OFPVID_PRESENT in the mask, packets without a tag match too.
	anyTag := unhex(t, "80000d04 0005 0fff")
	if got, err := ParseMatch(anyTag); err != nil || got != Match(anyTag) {
		t.Errorf("a VLAN id masked without its present bit becomes % x, %v", got, err)
	}
	if _, err := ParseMatch([]byte{0x80, 0, 0, 4, 0}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a cut field gives %v", err)
	}
	if _, err := ParseInstructions([]byte{0, 1, 0, 8}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a cut instruction gives %v", err)
	}
	if got, err := ParseInstructions([]byte(Goto(3))); err != nil || got != Goto(3) {
		t.Errorf("an instruction comes back as % x, %v", got, err)
	}
}

// FuzzDecodeStats demands that nothing a switch sends makes decoding or
// printing panic or hang, and that decoding is idempotent.
func FuzzDecodeStats(f *testing.F) {
	for _, sample := range sampleFlows() {
		f.Add(statsEntry([]byte(sample.Match), []byte(sample.Instructions)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		stats, err := DecodeStats(body)
		if err != nil {
			return
		}
		for _, s := range stats {
			_ = s.String()
			again, err := ParseMatch([]byte(s.Match))
			if err != nil || again != s.Match {
				t.Fatalf("canonical match % x becomes % x, %v", s.Match, again, err)
			}
			if s.Encodable() {
				if n := len(s.AppendFlowMod(nil, 1, Add)); n%8 != 0 && len(s.Instructions)%8 == 0 {
					t.Fatalf("flow mod of %d bytes", n)
				}
			}
		}
	})
}

// FuzzInstructionsText prints arbitrary instruction lists, also such as no decoder has checked.
func FuzzInstructionsText(f *testing.F) {
	for _, sample := range sampleFlows() {
		f.Add(string(sample.Instructions), string(sample.Match))
	}
	f.Fuzz(func(_ *testing.T, instructions, match string) {
		_ = Instructions(instructions).String()
		_ = Instructions(applying([]byte(instructions))).String()
		_ = Match(match).String()
	})
}
