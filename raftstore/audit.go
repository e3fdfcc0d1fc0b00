package raftstore

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/auditchain"
	storev1 "poolwire/proto/poolwire/store/v1"
)

// Audit records are made while commands are applied, on every node alike. Each is stored as the bytes that were hashed,
// with the hash of the chain up to it; the ends of the chain are in the header of the state, so that they are in every
// snapshot. Commands of an earlier meaning leave none.

// Bounds of the audit. They are part of the state machine's meaning.
const (
	// maxAuditRecord bounds the changes in one record, in bytes, and maxAuditChanges in number.
	maxAuditRecord  = 1 << 20
	maxAuditChanges = 4096
	// maxAuditBytes bounds all records together.
	maxAuditBytes = 128 << 20
	// maxAuditDrops bounds what one command drops.
	maxAuditDrops = 1000
	// maxAuditCalls bounds the entries of one PutAudit.
	maxAuditCalls = 64
	// maxAuditText bounds a reason, maxAuditWord any other string, in bytes.
	maxAuditText = 512
	maxAuditWord = 160
)

// AuditEnds are the ends of the audit chain.
type AuditEnds struct {
	// Anchor is the last record that was dropped, Head the last one there is; 0 for none.
	Anchor, Head uint64
	// AnchorHash and HeadHash are their hashes, 32 bytes; empty for none.
	AnchorHash, HeadHash []byte
	// Bytes is what the records take.
	Bytes uint64
}

// String is the head as "NUMBER:HASH"; empty while there is no record.
func (e AuditEnds) String() string {
	if e.Head == 0 {
		return ""
	}
	return auditchain.Head{Sequence: e.Head, Hash: e.HeadHash}.String()
}

// AuditEnds returns the ends of the audit chain.
func (v *View) AuditEnds() AuditEnds {
	h := v.meta()
	return AuditEnds{
		Anchor: h.GetAuditAnchorSequence(), AnchorHash: h.GetAuditAnchorHash(),
		Head: h.GetAuditSequence(), HeadHash: h.GetAuditHash(), Bytes: h.GetAuditBytes(),
	}
}

// AuditEntry returns the stored record of a number, or nil.
func (v *View) AuditEntry(sequence uint64) *storev1.AuditEntry {
	return get[*storev1.AuditEntry](v, TableAudit, auditKey(sequence))
}

// AuditRecord returns the record of a number, nil when there is none or it cannot be read.
func (v *View) AuditRecord(sequence uint64) *storev1.AuditRecord {
	e := v.AuditEntry(sequence)
	if e == nil {
		return nil
	}
	r := &storev1.AuditRecord{}
	if proto.Unmarshal(e.GetRecord(), r) != nil {
		return nil
	}
	if r.GetReason() == "" {
		r.Reason = e.GetReason()
	}
	return r
}

func auditKey(sequence uint64) string { return fmt.Sprintf("%020d", sequence) }

// audit records what a command has done, or why it was refused.
func (t *tx) audit(e entry, c *storev1.Command, res Result, err error) {
	var notLeader *NotLeaderError
	if meaningOf(c) < meaningSecured || errors.Is(err, errSchema) || errors.As(err, &notLeader) {
		return
	}
	if put := c.GetPutAudit(); put != nil {
		if err == nil {
			t.auditRefusedCalls(c, put)
		}
		return
	}
	r := &storev1.AuditRecord{
		Time: c.GetTime(), Origin: clipOrigin(c.GetOrigin()), Command: e.number,
		RequestId: clipWord(c.GetRequestId()), Outcome: storev1.AuditOutcome_AUDIT_OUTCOME_OK,
	}
	reason := ""
	switch {
	case err != nil:
		r.Outcome = storev1.AuditOutcome_AUDIT_OUTCOME_REFUSED
		r.Code, reason = uint32(refusalCode(err)), clipText(err.Error())
	case res.Duplicate:
		r.Outcome = storev1.AuditOutcome_AUDIT_OUTCOME_DUPLICATE
	default:
		t.auditChanges(r, c, res)
	}
	if t.worthAudit(r, c, err) {
		t.appendAudit(r, reason)
	}
}

// worthAudit tells whether a record is kept: all that somebody asked for, and of what the controller does by itself
// that which has changed something.
func (t *tx) worthAudit(r *storev1.AuditRecord, c *storev1.Command, err error) bool {
	var conflict *ConflictError
	switch {
	case c.GetOrigin().GetProbe() && r.GetOutcome() != storev1.AuditOutcome_AUDIT_OUTCOME_DUPLICATE:
		return false
	case c.GetOrigin().GetAgain() && errors.As(err, &conflict):
		return false
	}
	switch body := c.GetBody().(type) {
	case *storev1.Command_RestoreBackup:
		if s := body.RestoreBackup.GetStep(); err == nil && s != storev1.RestoreStep_RESTORE_STEP_COMMIT {
			return false
		}
	case *storev1.Command_BootstrapCluster, *storev1.Command_TakeOverCluster:
		return true
	}
	return c.GetOrigin() != nil || len(r.GetChanges()) > 0 || r.GetOmitted() > 0
}

// auditRefusedCalls records calls that never became commands.
func (t *tx) auditRefusedCalls(c *storev1.Command, put *storev1.PutAudit) {
	for _, calls := range put.GetCalls() {
		t.appendAudit(&storev1.AuditRecord{
			Time: c.GetTime(), Origin: clipOrigin(calls.GetOrigin()), Outcome: storev1.AuditOutcome_AUDIT_OUTCOME_REFUSED,
			Code: calls.GetCode(), Reason: clipText(calls.GetReason()), Calls: max(calls.GetCalls(), 1), FirstTime: calls.GetFirstTime(),
		}, "")
	}
}

// putAudit checks what audit writes down afterwards.
func (t *tx) putAudit(c *storev1.PutAudit) (Result, error) {
	if n := len(c.GetCalls()); n > maxAuditCalls {
		return Result{}, &InvalidError{Field: "calls", Value: fmt.Sprint(n), Reason: "must have at most 64 entries"}
	}
	return Result{}, nil
}

// appendAudit adds a record to the chain and drops the oldest ones. reason is what is told beside the record, in words
// that nodes of other versions may have others for: nothing of the chain, nor when records are dropped, may depend on it.
func (t *tx) appendAudit(r *storev1.AuditRecord, reason string) {
	h := t.header
	r.Sequence, r.Revision = h.GetAuditSequence()+1, t.revision
	data := t.encode(r)
	e := &storev1.AuditEntry{
		Sequence: r.GetSequence(), Record: data, Hash: auditchain.Next(h.GetAuditHash(), data), Seconds: r.GetTime().GetSeconds(),
		Reason: reason,
	}
	t.insert(resourceOf(TableAudit).name, &row{key: auditKey(e.GetSequence()), msg: e})
	h.AuditSequence, h.AuditHash = e.GetSequence(), e.GetHash()
	h.AuditBytes += auditSize(e)
	t.trimAudit(r.GetTime())
}

// auditSize is what a record counts for among those that are kept, in bytes. A reason counts as the longest one: how long it
// is, is not the same on nodes of different versions.
func auditSize(e *storev1.AuditEntry) uint64 {
	size := len(e.GetRecord())
	if e.GetReason() != "" {
		size += maxAuditText
	}
	return uint64(size)
}

// takeOverAudit goes on with the chain of a backup, where it has one. The record of the restore names the chain that
// this cluster had until then.
func (t *tx) takeOverAudit(of AuditEnds) {
	if of.Head == 0 {
		return
	}
	h := t.header
	t.replaced = t.AuditEnds()
	h.AuditSequence, h.AuditHash, h.AuditBytes = of.Head, of.HeadHash, of.Bytes
	h.AuditAnchorSequence, h.AuditAnchorHash = of.Anchor, of.AnchorHash
}

// trimAudit drops the oldest records that are too many or too old, and keeps what the rest is verified from.
func (t *tx) trimAudit(now *timestamppb.Timestamp) {
	h, s := t.header, t.Settings()
	keep, since := uint64(s.GetAuditKeepEntries()), now.GetSeconds()-int64(s.GetAuditKeepFor().AsDuration()/time.Second)
	for range maxAuditDrops {
		first := h.GetAuditAnchorSequence() + 1
		if first >= h.GetAuditSequence() {
			return
		}
		e := t.AuditEntry(first)
		many := h.GetAuditSequence()-h.GetAuditAnchorSequence() > keep || h.GetAuditBytes() > maxAuditBytes
		if e != nil && !many && e.GetSeconds() >= since {
			return
		}
		if e != nil { // a gap is passed over: it shows when the chain is verified
			t.remove(resourceOf(TableAudit).name, &row{key: auditKey(first), msg: e})
			h.AuditBytes -= min(h.GetAuditBytes(), auditSize(e))
			h.AuditAnchorHash = e.GetHash()
		}
		h.AuditAnchorSequence = first
	}
}

// Codes of google.rpc.Code, as the API answers with them.
const (
	codeInvalidArgument    = 3
	codeNotFound           = 5
	codeAlreadyExists      = 6
	codeResourceExhausted  = 8
	codeFailedPrecondition = 9
	codeAborted            = 10
	codeUnknown            = 2
)

// refusalCode sorts the errors of the state.
func refusalCode(err error) int {
	var (
		missing  *NotFoundError
		exists   *ExistsError
		conflict *ConflictError
		not      *PreconditionError
		invalid  *InvalidError
	)
	switch {
	case errors.As(err, &missing):
		return codeNotFound
	case errors.As(err, &exists):
		return codeAlreadyExists
	case errors.As(err, &conflict):
		return codeAborted
	case errors.As(err, &not):
		return codeFailedPrecondition
	case errors.As(err, &invalid):
		return codeInvalidArgument
	case errors.Is(err, ErrExhausted):
		return codeResourceExhausted
	}
	return codeUnknown
}

func clipOrigin(o *storev1.Origin) *storev1.Origin {
	if o == nil {
		return nil
	}
	return &storev1.Origin{
		Who: clipWord(o.GetWho()), Credential: clipWord(o.GetCredential()), Address: clipWord(o.GetAddress()),
		Via: clipWord(o.GetVia()), Method: clipWord(o.GetMethod()),
	}
}

func clipWord(s string) string { return cut(s, maxAuditWord) }

func clipText(s string) string { return cut(s, maxAuditText) }

// cut shortens a string to a number of bytes, and to whole characters.
func cut(s string, limit int) string { return strings.ToValidUTF8(s[:min(len(s), limit)], "") }
