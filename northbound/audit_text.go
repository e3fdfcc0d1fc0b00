package northbound

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// auditRecord is a record as the API shows it.
func auditRecord(v *raftstore.View, r *storev1.AuditRecord) *v1.AuditRecord {
	o := r.GetOrigin()
	out := &v1.AuditRecord{
		Sequence: r.GetSequence(), Revision: r.GetRevision(), Time: r.GetTime(), Who: whoOf(r),
		Credential: o.GetCredential(), Address: o.GetAddress(), Via: o.GetVia(), Method: o.GetMethod(),
		Command: raftstore.CommandName(r), RequestId: r.GetRequestId(), Outcome: v1.AuditOutcome(r.GetOutcome()),
		Reason: r.GetReason(), Omitted: r.GetOmitted(), Break: r.GetBreak(), Calls: r.GetCalls(), FirstTime: r.GetFirstTime(),
		Hash: hex.EncodeToString(v.AuditEntry(r.GetSequence()).GetHash()),
	}
	if out.GetOutcome() == v1.AuditOutcome_AUDIT_OUTCOME_REFUSED {
		out.Code = codeName(r.GetCode())
	}
	for _, c := range r.GetChanges() {
		out.Changes = append(out.Changes, auditChange(v, c))
	}
	out.Summary = auditSummary(r, out)
	return out
}

// maxSummary bounds the changes that a summary names.
const maxSummary = 3

// auditSummary is what a record is about, in one line.
func auditSummary(r *storev1.AuditRecord, shown *v1.AuditRecord) string {
	switch {
	case r.GetCalls() > 1:
		return fmt.Sprintf("%d calls refused since %s: %s", r.GetCalls(), r.GetFirstTime().AsTime().UTC().Format(time.RFC3339), r.GetReason())
	case r.GetOutcome() == storev1.AuditOutcome_AUDIT_OUTCOME_REFUSED:
		return "refused: " + r.GetReason()
	case r.GetOutcome() == storev1.AuditOutcome_AUDIT_OUTCOME_DUPLICATE:
		return "done before: the request was repeated"
	case shown.GetCommand() == "restore_backup":
		return fmt.Sprintf("backup restored: its audit chain goes on in the place of this cluster's, which ended with record %d, %s",
			r.GetReplacedSequence(), hex.EncodeToString(r.GetReplacedHash()))
	case shown.GetCommand() == "bootstrap_cluster":
		return "cluster founded"
	}
	var parts []string
	for i, c := range shown.GetChanges() {
		if i == maxSummary {
			parts = append(parts, fmt.Sprintf("and %d more", len(shown.GetChanges())+int(shown.GetOmitted())-i))
			break
		}
		parts = append(parts, c.GetSummary())
	}
	if len(parts) == 0 {
		return "nothing was changed"
	}
	return strings.Join(parts, "; ")
}

// auditChange is a change as the API shows it. What it refers to has the name that a view knows it by.
func auditChange(v *raftstore.View, c *storev1.AuditChange) *v1.AuditChange {
	out := &v1.AuditChange{
		Kind: kindOfTable(c.GetTable()), Id: c.GetKey(), Name: auditName(c), Made: c.GetMade(), Removed: c.GetRemoved(),
		Added: c.GetAdded(), Lost: c.GetLost(),
	}
	before, after := raftstore.AuditImages(c)
	image := imageOf(before, after)
	words := objectWords(v, out, image)
	if text := certificateChange(words, before, after); text != "" {
		out.Summary = text
	}
	if text := anchorsChange(before, after); text != "" {
		out.Summary = text
	}
	fields := keepChanged(before, after)
	out.BeforeJson, out.AfterJson = fieldsJSON(before), fieldsJSON(after)
	if out.GetSummary() == "" {
		out.Summary = changeSummary(out, words, before, after, fields)
	}
	return out
}

// imageOf is an object as it was left by a change, or as it was before it was removed; nil when neither is recorded.
func imageOf(before, after proto.Message) proto.Message {
	if after != nil {
		return after
	}
	return before
}

// keepChanged takes out of two objects what they have in common, and what the store itself writes into objects. It
// returns the names of the fields that are left.
func keepChanged(before, after proto.Message) []string {
	var left []string
	one := imageOf(before, after)
	if one == nil {
		return nil
	}
	fields := one.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch f.Name() {
		case "etag", "object_id", "create_time", "update_time":
			clearField(before, f)
			clearField(after, f)
			continue
		}
		if before == nil || after == nil {
			continue
		}
		if before.ProtoReflect().Get(f).Equal(after.ProtoReflect().Get(f)) && before.ProtoReflect().Has(f) == after.ProtoReflect().Has(f) {
			clearField(before, f)
			clearField(after, f)
			continue
		}
		left = append(left, string(f.Name()))
	}
	return left
}

func clearField(m proto.Message, f protoreflect.FieldDescriptor) {
	if m != nil {
		m.ProtoReflect().Clear(f)
	}
}

// fieldsJSON is a message as a JSON object with proto's names; empty for none.
func fieldsJSON(m proto.Message) string {
	if m == nil {
		return ""
	}
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return ""
	}
	return string(compact(b))
}

// compact takes the white space out, which protojson varies on purpose.
func compact(b []byte) []byte {
	var value any
	if json.Unmarshal(b, &value) != nil {
		return b
	}
	out, err := json.Marshal(value)
	if err != nil {
		return b
	}
	return out
}
