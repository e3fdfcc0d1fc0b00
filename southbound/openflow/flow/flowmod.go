package flow

import (
	"encoding/binary"

	of "github.com/contiv/libOpenflow/openflow13"
)

// Command says what a flow mod does (ofp_flow_mod_command, OpenFlow 1.3
// section 7.3.4.1).
type Command uint8

// The flow mod commands. The strict ones concern the entry with exactly the
// flow's key, the others every entry at least as specific as the match.
const (
	Add          Command = of.FC_ADD
	Modify       Command = of.FC_MODIFY
	ModifyStrict Command = of.FC_MODIFY_STRICT
	Delete       Command = of.FC_DELETE
	DeleteStrict Command = of.FC_DELETE_STRICT
)

const (
	// maxMessage is what the 16-bit length of an OpenFlow message can say.
	maxMessage = 0xffff
	// flowModHeaderLen is the length of an ofp_flow_mod up to its match.
	flowModHeaderLen = 48
	// matchHeaderLen is the length of an ofp_match before its OXM TLVs.
	matchHeaderLen = 4

	noBuffer = 0xffffffff
)

// Encodable reports whether the flow fits into one OpenFlow message. Only a
// very long action list (some 4000 outputs) does not.
func (f Flow) Encodable() bool { return f.flowModLen(Add) <= maxMessage }

func (f Flow) flowModLen(cmd Command) int {
	n := flowModHeaderLen + paddedMatchLen(len(f.Match))
	if cmd.hasInstructions() {
		n += len(f.Instructions)
	}
	return n
}

func (c Command) hasInstructions() bool { return c != Delete && c != DeleteStrict }

// paddedMatchLen returns the length of an ofp_match with that many bytes of TLVs, padding to 64 bits included.
func paddedMatchLen(tlvs int) int { return (matchHeaderLen + tlvs + 7) &^ 7 }

// AppendFlowMod appends one complete OFPT_FLOW_MOD of OpenFlow 1.3 to buf and
// returns the result. A flow that is not [Flow.Encodable] is not appended: its
// length would wrap and desynchronise the connection.
//
// Deletions carry no instructions. Modifications and deletions carry the
// flow's cookie with a full mask, so that they never touch an entry that
// somebody else has put in the place of ours since we looked.
func (f Flow) AppendFlowMod(buf []byte, xid uint32, cmd Command) []byte {
	n := f.flowModLen(cmd)
	if n > maxMessage {
		return buf
	}
	var cookieMask uint64
	if cmd != Add {
		cookieMask = ^uint64(0)
	}
	buf = append(buf, of.VERSION, of.Type_FlowMod)
	buf = binary.BigEndian.AppendUint16(buf, uint16(n))
	buf = binary.BigEndian.AppendUint32(buf, xid)
	buf = binary.BigEndian.AppendUint64(buf, f.Cookie)
	buf = binary.BigEndian.AppendUint64(buf, cookieMask)
	buf = append(buf, f.Table, byte(cmd))
	buf = binary.BigEndian.AppendUint16(buf, f.IdleTimeout)
	buf = binary.BigEndian.AppendUint16(buf, f.HardTimeout)
	buf = binary.BigEndian.AppendUint16(buf, f.Priority)
	buf = binary.BigEndian.AppendUint32(buf, noBuffer)
	buf = binary.BigEndian.AppendUint32(buf, of.P_ANY)
	buf = binary.BigEndian.AppendUint32(buf, of.OFPG_ANY)
	buf = binary.BigEndian.AppendUint16(buf, f.Flags)
	buf = append(buf, 0, 0)
	buf = f.Match.appendWire(buf)
	if cmd.hasInstructions() {
		buf = append(buf, f.Instructions...)
	}
	return buf
}

// appendWire appends a padded ofp_match.
func (m Match) appendWire(buf []byte) []byte {
	buf = binary.BigEndian.AppendUint16(buf, of.MatchType_OXM)
	buf = binary.BigEndian.AppendUint16(buf, uint16(matchHeaderLen+len(m)))
	buf = append(buf, m...)
	var padding [8]byte
	return append(buf, padding[:paddedMatchLen(len(m))-matchHeaderLen-len(m)]...)
}
