package northbound

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

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
		out.Changes = append(out.Changes, auditChange(c))
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
		return fmt.Sprintf("%d calls refused since %s: %s", r.GetCalls(), r.GetFirstTime().AsTime().Format("15:04:05Z"), r.GetReason())
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

// auditChange is a change as the API shows it.
func auditChange(c *storev1.AuditChange) *v1.AuditChange {
	out := &v1.AuditChange{
		Kind: kindOfTable(c.GetTable()), Id: c.GetKey(), Name: c.GetName(), Made: c.GetMade(), Removed: c.GetRemoved(),
		Added: c.GetAdded(), Lost: c.GetLost(),
	}
	before, after := raftstore.AuditImages(c)
	fields := keepChanged(before, after)
	out.BeforeJson, out.AfterJson = fieldsJSON(before), fieldsJSON(after)
	out.Summary = changeSummary(out, before, after, fields)
	return out
}

// keepChanged takes out of two objects what they have in common, and what the store itself writes into objects. It
// returns the names of the fields that are left.
func keepChanged(before, after proto.Message) []string {
	var left []string
	one := after
	if one == nil {
		one = before
	}
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

// Bounds of a summary: fields that are named, and characters of a value.
const (
	maxFields = 3
	maxValue  = 40
)

// changeSummary says what was changed about an object, in one line.
func changeSummary(c *v1.AuditChange, before, after proto.Message, fields []string) string {
	what := strings.ReplaceAll(c.GetKind(), "_", " ")
	name := c.GetName()
	if name == "" {
		name = shortID(c.GetId())
	}
	if what == "settings" {
		name = ""
	}
	what = strings.TrimSpace(what + " " + name)
	image := after
	if image == nil {
		image = before
	}
	if text := ruleSummary(image); text != "" && (c.GetMade() || c.GetRemoved()) {
		what += ": " + text
	}
	switch {
	case c.GetMade():
		return "made " + what
	case c.GetRemoved():
		return "removed " + what
	}
	var parts []string
	if n := len(c.GetAdded()); n > 0 {
		parts = append(parts, "+"+someOf(c.GetAdded()))
	}
	if n := len(c.GetLost()); n > 0 {
		parts = append(parts, "-"+someOf(c.GetLost()))
	}
	for i, f := range fields {
		if i == maxFields {
			parts = append(parts, fmt.Sprintf("and %d more", len(fields)-i))
			break
		}
		parts = append(parts, f+" "+valueOf(before, f)+" -> "+valueOf(after, f))
	}
	if len(parts) == 0 {
		return "changed " + what
	}
	return what + " " + strings.Join(parts, ", ")
}

func someOf(list []string) string {
	text := strings.Join(list[:min(len(list), maxFields)], " ")
	if more := len(list) - maxFields; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// shortID is enough of a UUID to recognise it.
func shortID(id string) string {
	if _, ok := canonicalUUID(id); ok {
		return id[:8]
	}
	return id
}

// ruleSummary is what a rule does; empty for other objects.
func ruleSummary(m proto.Message) string {
	switch r := m.(type) {
	case *v1.Rule:
		verb := "deny"
		if r.GetAllow() {
			verb = "allow"
		}
		return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", verb, wordOf("PROTOCOL_", r.GetProtocol().String()), r.GetIpRange())), " ")
	case *v1.PolicyRule:
		place := wordOf("POLICY_LEVEL_", r.GetLevel().String())
		if r.GetScopeUuid() != "" {
			place += " " + shortID(r.GetScopeUuid())
		}
		return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s on %s", wordOf("RULE_ACTION_", r.GetAction().String()),
			wordOf("TRAFFIC_DIRECTION_", r.GetDirection().String()), r.GetProtocol(), place)), " ")
	}
	return ""
}

// wordOf is the last part of the name of an enum's value, in small letters.
func wordOf(prefix, name string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }

// valueOf is the value of a field in a few characters.
func valueOf(m proto.Message, field string) string {
	f := m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
	if f == nil || !m.ProtoReflect().Has(f) {
		return "none"
	}
	value := m.ProtoReflect().Get(f)
	text := ""
	switch {
	case f.Kind() == protoreflect.EnumKind && !f.IsList():
		if d := f.Enum().Values().ByNumber(value.Enum()); d != nil {
			text = strings.ToLower(strings.TrimPrefix(string(d.Name()), enumPrefix(f.Enum())))
		}
	case f.IsList(), f.IsMap(), f.Kind() == protoreflect.MessageKind:
		only := m.ProtoReflect().New()
		only.Set(f, value)
		object := map[string]json.RawMessage{}
		_ = json.Unmarshal([]byte(fieldsJSON(only.Interface())), &object)
		text = string(object[field])
	default:
		text = fmt.Sprint(value.Interface())
	}
	if r := []rune(text); len(r) > maxValue {
		text = string(r[:maxValue-1]) + "…"
	}
	if text == "" {
		return "none"
	}
	return text
}

// enumPrefix is what all values of an enum begin with: "RULE_ACTION_".
func enumPrefix(e protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(e.Values().Get(0).Name()), "UNSPECIFIED")
}
