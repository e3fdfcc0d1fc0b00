package listener

import (
	"encoding/binary"
	"net/netip"
)

// Report is what one message says.
type Report struct {
	// Joined and Left are groups that somebody behind the port listens to, or says to have left.
	Joined, Left []netip.Addr
	// Router: a multicast router has spoken; of the family of RouterOf, which is unspecified otherwise.
	Router   bool
	RouterOf netip.Addr
}

// MaxGroups is how many groups of one message are read.
const MaxGroups = 512

const (
	ethernetHeader = 14
	typeIPv4       = 0x0800
	typeIPv6       = 0x86dd

	protocolHopByHop = 0
	protocolIGMP     = 2
	protocolICMPv6   = 58
	protocolPIM      = 103

	// pimHello is version 2 and type 0 (RFC 7761 section 4.9).
	pimHello = 0x20
)

// Parse reads an untagged frame; ok is false when it says nothing of listeners.
func Parse(frame []byte) (r Report, ok bool) {
	if len(frame) < ethernetHeader {
		return r, false
	}
	packet := frame[ethernetHeader:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case typeIPv4:
		return parseIPv4(packet)
	case typeIPv6:
		return parseIPv6(packet)
	}
	return r, false
}

// parseIPv4 reads IGMP and PIM over IPv4. Fragments say nothing.
func parseIPv4(b []byte) (r Report, ok bool) {
	const least, fragmented = 20, 0x3fff
	if len(b) < least || b[0]>>4 != 4 || binary.BigEndian.Uint16(b[6:])&fragmented != 0 {
		return r, false
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < least || total < header || total > len(b) {
		return r, false
	}
	source, payload := netip.AddrFrom4([4]byte(b[12:16])), b[header:total]
	switch b[9] {
	case protocolIGMP:
		if checksum(payload) != 0 {
			return r, false
		}
		return parseIGMP(payload, source)
	case protocolPIM:
		return parsePIM(payload, source, netip.IPv4Unspecified())
	}
	return r, false
}

// parseIPv6 reads MLD, behind a hop-by-hop header or not, and PIM over IPv6. MLD of whoever is not on the link says
// nothing (RFC 3810 sections 5.1.14 and 5.2.13); no host has a link-local address at first.
func parseIPv6(b []byte) (r Report, ok bool) {
	const header = 40
	if len(b) < header || b[0]>>4 != 6 {
		return r, false
	}
	total := header + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return r, false
	}
	source, destination := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	next, payload := b[6], b[header:total]
	if next == protocolHopByHop {
		if len(payload) < 8 || len(payload) < 8+8*int(payload[1]) {
			return r, false
		}
		next, payload = payload[0], payload[8+8*int(payload[1]):]
	}
	onLink := source.IsLinkLocalUnicast() || source.IsUnspecified()
	switch {
	case next == protocolICMPv6 && onLink && b[7] == 1 && checksum(pseudoHeader(source, destination, len(payload)), payload) == 0:
		return parseMLD(payload, source)
	case next == protocolPIM && onLink:
		return parsePIM(payload, source, netip.IPv6Unspecified())
	}
	return r, false
}

func parsePIM(b []byte, source, family netip.Addr) (r Report, ok bool) {
	if len(b) < 4 || b[0] != pimHello || source.IsUnspecified() {
		return r, false
	}
	return Report{Router: true, RouterOf: family}, true
}

// Types of IGMP.
const (
	igmpQuery    = 0x11
	igmpReportV1 = 0x12
	igmpReportV2 = 0x16
	igmpLeave    = 0x17
	igmpReportV3 = 0x22
)

func parseIGMP(b []byte, source netip.Addr) (r Report, ok bool) {
	if len(b) < 8 {
		return r, false
	}
	group := netip.AddrFrom4([4]byte(b[4:8]))
	switch b[0] {
	case igmpQuery:
		// A query without a source is that of a snooping switch, which is no router (RFC 4541 section 2.1.1).
		return Report{Router: true, RouterOf: netip.IPv4Unspecified()}, !source.IsUnspecified()
	case igmpReportV1, igmpReportV2:
		r.add(group, true)
	case igmpLeave:
		r.add(group, false)
	case igmpReportV3:
		return parseRecords(b[8:], int(binary.BigEndian.Uint16(b[6:])), 4)
	}
	return r, r.says()
}

// Types of ICMPv6.
const (
	mldQuery    = 130
	mldReport   = 131
	mldDone     = 132
	mldReportV2 = 143
)

func parseMLD(b []byte, source netip.Addr) (r Report, ok bool) {
	if len(b) < 8 {
		return r, false
	}
	switch b[0] {
	case mldQuery:
		return Report{Router: true, RouterOf: netip.IPv6Unspecified()}, !source.IsUnspecified()
	case mldReportV2:
		return parseRecords(b[8:], int(binary.BigEndian.Uint16(b[6:])), 16)
	case mldReport, mldDone:
		if len(b) >= 24 {
			r.add(netip.AddrFrom16([16]byte(b[8:24])), b[0] == mldReport)
		}
	}
	return r, r.says()
}

// Types of group records (RFC 3376 section 4.2.12, RFC 3810 section 5.2.12).
const (
	isInclude = 1 + iota
	isExclude
	toInclude
	toExclude
	allowSources
	blockSources
)

// parseRecords reads the group records of IGMPv3 and of MLDv2, which differ in the size of addresses. Sources are passed
// over: who listens to some of a group's senders listens to the group. When it blocks some, it may still listen to others.
func parseRecords(b []byte, count, size int) (r Report, ok bool) {
	const head, word = 4, 4
	for range min(count, MaxGroups) {
		if len(b) < head+size {
			return Report{}, false
		}
		sources := int(binary.BigEndian.Uint16(b[2:]))
		length := head + size + sources*size + int(b[1])*word
		if len(b) < length {
			return Report{}, false
		}
		group, _ := netip.AddrFromSlice(b[head : head+size])
		switch kind := b[0]; kind {
		case isExclude, toExclude, allowSources:
			r.add(group, true)
		case isInclude, toInclude:
			r.add(group, sources > 0)
		case blockSources:
		}
		b = b[length:]
	}
	return r, r.says()
}

// add notes a group, if the address is one.
func (r *Report) add(group netip.Addr, joined bool) {
	switch {
	case !group.IsMulticast():
	case joined:
		r.Joined = append(r.Joined, group)
	default:
		r.Left = append(r.Left, group)
	}
}

func (r *Report) says() bool { return len(r.Joined)+len(r.Left) > 0 }
