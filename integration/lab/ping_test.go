package lab

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestPingLog(t *testing.T) {
	t.Parallel()
	answer := func(seq string) string {
		return "64 bytes from 10.0.0.2: icmp_seq=" + seq + " ttl=64 time=0.2 ms\n"
	}
	cases := []struct {
		name                string
		output              string
		sent, received, gap int
	}{
		{"none lost", answer("1") + answer("2") + "2 packets transmitted, 2 received, 0% packet loss\n", 2, 2, 0},
		{"the last is on its way", answer("1") + "2 packets transmitted, 1 received, 50% packet loss\n", 1, 1, 0},
		{"the last two are lost", answer("1") + "3 packets transmitted, 1 received\n", 2, 1, 1},
		{"a gap", answer("1") + answer("5") + "5 packets transmitted, 2 received\n", 5, 2, 3},
		{"the first are lost", answer("3") + "3 packets transmitted, 1 received\n", 3, 1, 2},
		{"a duplicate", answer("1") + strings.Replace(answer("1"), "ms", "ms (DUP!)", 1) + "1 packets transmitted, 1 received, +1 duplicates\n", 1, 1, 0},
		{"unreachable", "From 10.0.0.1 icmp_seq=1 Destination Host Unreachable\n" + answer("2") + "2 packets transmitted, 1 received, +1 errors\n", 2, 1, 1},
		{"no summary", answer("1"), 0, 1, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log := newPingLog()
			for line := range strings.Lines(c.output) {
				log.line(line)
			}
			got := log.result(time.Millisecond)
			if got.Sent != c.sent || got.Received != c.received || got.LongestGap != c.gap {
				t.Errorf("got %+v", got)
			}
			if got.Outage() != time.Duration(c.gap)*time.Millisecond {
				t.Errorf("outage %v", got.Outage())
			}
		})
	}
}

// The sequence number has 16 bits and starts over.
func TestPingLogWraps(t *testing.T) {
	t.Parallel()
	log := newPingLog()
	const total = 5 << 15
	for seq := 1; seq <= total; seq++ {
		if seq%100_000 == 0 {
			continue
		}
		log.line("64 bytes from ::1: icmp_seq=" + strconv.Itoa(seq&0xffff) + " ttl=64 time=0.01 ms\n")
	}
	log.line("163840 packets transmitted, 163839 received")
	if got := log.result(1); got.Sent != total || got.Lost() != 1 || got.LongestGap != 1 {
		t.Errorf("sent %d, lost %d, gap %d", got.Sent, got.Lost(), got.LongestGap)
	}
}
