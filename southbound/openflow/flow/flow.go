package flow

import "time"

// Match is the canonical encoding of what a flow matches: OXM TLVs sorted by
// class and field (the basic class of OpenFlow 1.3 first), without padding. The empty Match matches every packet. Two
// matches are the same exactly when they are ==.
type Match string

// Instructions is an encoded OpenFlow 1.3 instruction list. Empty means drop.
type Instructions string

// Flow flags (OFPFF_*, OpenFlow 1.3 section 7.3.4.1).
const (
	FlagSendFlowRemoved uint16 = 1 << 0
	FlagCheckOverlap    uint16 = 1 << 1
	FlagResetCounts     uint16 = 1 << 2
	FlagNoPacketCounts  uint16 = 1 << 3
	FlagNoByteCounts    uint16 = 1 << 4
)

// TableAll is OFPTT_ALL: every table, in dump requests and deletions.
const TableAll uint8 = 0xff

// Flow is one flow entry. It is a value: comparable, and safe to copy.
type Flow struct {
	// Table is 0 to 254.
	Table uint8
	// Priority decides between entries of one table that match the same packet; the highest wins.
	Priority uint16
	// Cookie is opaque to the switch.
	Cookie uint64
	// IdleTimeout and HardTimeout are in seconds; 0 means never.
	IdleTimeout, HardTimeout uint16
	// Flags are OFPFF_* bits.
	Flags uint16

	Match        Match
	Instructions Instructions
}

// Key is what identifies an entry within a switch.
type Key struct {
	Table    uint8
	Priority uint16
	Match    Match
}

// Key returns the flow's identity.
func (f Flow) Key() Key {
	return Key{Table: f.Table, Priority: f.Priority, Match: f.Match}
}

// Stats is a flow entry as a switch reports it.
type Stats struct {
	Flow
	// Duration is how long the entry has been in the table.
	Duration time.Duration
	// Packets and Bytes count what matched the entry; all ones means that the switch does not count.
	Packets, Bytes uint64
}
