package northbound

import (
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"poolwire/objecttext"
	"poolwire/policytext"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// auditName is what an object of a record is called: its own name, or that of whom it belongs to.
func auditName(c *storev1.AuditChange) string {
	if c.GetName() != "" {
		return c.GetName()
	}
	switch m := imageOf(raftstore.AuditImages(c)).(type) {
	case *v1.Certificate:
		return objecttext.OwnerName(m)
	case *v1.Grant:
		return m.GetPrincipal()
	case *storev1.Token:
		return m.GetToken().GetOwner()
	}
	return ""
}

// objectWords is what an object is called in a summary: "policy rule ssh", "certificate of client alice (pool-operator)".
// Of one that was made or removed they also say what it is for.
func objectWords(v *raftstore.View, c *v1.AuditChange, image proto.Message) string {
	name := c.GetName()
	if name == "" {
		name = shortID(c.GetId())
	}
	what := strings.ReplaceAll(c.GetKind(), "_", " ")
	switch m := image.(type) {
	case *v1.Certificate:
		return what + " of " + objecttext.CertificateOwner(m)
	case *v1.Grant:
		return what + " " + objecttext.Grant(v, m)
	case *storev1.Token:
		return what + " " + objecttext.Token(v, m.GetToken())
	case *storev1.PairKey:
		return what + " of " + hostName(v, m.GetHostA()) + " and " + hostName(v, m.GetHostB())
	case *v1.ClusterSettings:
		return what
	case *v1.Rule:
		what += " " + name
		if c.GetMade() || c.GetRemoved() {
			what += ": " + policytext.CompatRule(m) + onScope(policytext.CompatEntry(v, m).GetScope())
		}
		return what
	case *v1.PolicyRule:
		what += " " + name
		if c.GetMade() || c.GetRemoved() {
			what += ": " + policytext.Rule(v, m) + onScope(strings.TrimSpace(policytext.Level(m.GetLevel())+" "+policytext.Scope(v, m)))
		}
		return what
	}
	return what + " " + name
}

func onScope(scope string) string {
	if scope == "" {
		return ""
	}
	return ", on " + scope
}

// certificateChange says that a certificate was revoked; empty for other changes.
func certificateChange(words string, before, after proto.Message) string {
	was, _ := before.(*v1.Certificate)
	is, ok := after.(*v1.Certificate)
	if !ok || is.GetRevokeTime() == nil || was.GetRevokeTime() != nil {
		return ""
	}
	text := "revoked " + words
	if is.GetRevokeReason() != "" {
		text += ": " + is.GetRevokeReason()
	}
	return text
}

// anchorsChange says which CAs are trusted; empty for other changes. It takes their certificates out: a fingerprint names each.
func anchorsChange(before, after proto.Message) string {
	was, one := before.(*storev1.TrustAnchors)
	is, other := after.(*storev1.TrustAnchors)
	if !one && !other {
		return ""
	}
	text := "CAs " + objecttext.Anchors(was.GetAnchors()) + " -> " + objecttext.Anchors(is.GetAnchors())
	for _, list := range [][]*v1.TrustAnchor{was.GetAnchors(), is.GetAnchors()} {
		for _, a := range list {
			a.ChainPem = nil
		}
	}
	return text
}

// Bounds of a summary: fields that are named, and characters of a value.
const (
	maxFields = 3
	maxValue  = 40
)

// changeSummary says what was changed about an object that is called by some words, in one line.
func changeSummary(c *v1.AuditChange, what string, before, after proto.Message, fields []string) string {
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
