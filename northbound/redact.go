package northbound

import (
	"strings"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// hiddenText stands for what a caller may not read.
const hiddenText = "(hidden)"

// redactor takes out of an answer what its caller may not see. Answers are made from a view of what he may see; but some are
// computed from all there is, and controllers and errors speak of what is in the way by name. What goes out to
// a caller without a role in the whole cluster passes here, whoever made it.
type redactor struct {
	whole, seen *raftstore.View
	sees        func(key string, m proto.Message) bool
	// failing: a refusal repeats values of the request where it says which is wrong, or it would tell by what it leaves out that
	// such a thing is there. Nothing else is excused for having been said: requests could be filled with guesses.
	failing bool
	// said are the values of the strings of the request, each as a whole, and quoted those as refusals quote them.
	said, quoted map[string]bool
	// names tells of names that were met whether they are hidden.
	names map[string]bool
}

func newRedactor(r *rights, v *raftstore.View, req any) *redactor {
	d := &redactor{whole: v.Whole(), sees: r.sees(v.Whole()), said: map[string]bool{}, quoted: map[string]bool{}, names: map[string]bool{}}
	d.seen = d.whole.Restrict(d.sees)
	if m, ok := req.(proto.Message); ok {
		d.hear(m.ProtoReflect())
	}
	return d
}

// hear takes note of all strings of a request.
func (d *redactor) hear(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		each(fd, v, func(one protoreflect.Value) {
			switch {
			case fd.Message() != nil:
				d.hear(one.Message())
			case fd.Kind() == protoreflect.StringKind:
				d.said[one.String()], d.said[strings.ToLower(one.String())] = true, true // UUIDs may come in capitals
				d.quoted[strings.TrimSuffix(quote(one.String()), cutShort)] = true
			}
		})
		return true
	})
}

// each calls f with the values of a field that is no map.
func each(fd protoreflect.FieldDescriptor, v protoreflect.Value, f func(protoreflect.Value)) {
	switch {
	case fd.IsMap():
	case fd.IsList():
		for i := range v.List().Len() {
			f(v.List().Get(i))
		}
	default:
		f(v)
	}
}

// answer returns what is left of an answer.
func (d *redactor) answer(m proto.Message) proto.Message {
	m = proto.Clone(m)
	if w, ok := m.(*v1.WatchResponse); ok {
		// What has left his sight is told as deleted, with what he saw of it last.
		for _, c := range w.GetChanges() {
			d.deletion(c.ProtoReflect())
		}
		return m
	}
	d.message(m.ProtoReflect(), false)
	return m
}

func (d *redactor) deletion(c protoreflect.Message) {
	c.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() != nil {
			d.resource(v.Message())
		}
		return true
	})
}

// failure returns what is left of an error.
func (d *redactor) failure(err error) error {
	if err == nil {
		return nil
	}
	d.failing = true
	p := proto.CloneOf(status.Convert(err).Proto())
	p.Message = d.prose(p.GetMessage())
	var details []*anypb.Any
	for _, a := range p.GetDetails() {
		m, err := a.UnmarshalNew()
		if err != nil {
			continue
		}
		d.message(m.ProtoReflect(), false)
		if a, err := anypb.New(m); err == nil {
			details = append(details, a)
		}
	}
	p.Details = details
	return status.FromProto(p).Err()
}

// isResource tells whether a message is an object of the API, which users gave its names and texts.
func isResource(m proto.Message) bool {
	switch m.(type) {
	case *v1.Pool, *v1.Host, *v1.Pif, *v1.Network, *v1.PrivateNetwork, *v1.Vif, *v1.Rule, *v1.PolicyRule, *v1.AddressGroup, *v1.VifGroup:
		return true
	}
	return false
}

// shows tells whether an object may be in an answer.
func (d *redactor) shows(m proto.Message) bool {
	o, ok := m.(interface{ GetUuid() string })
	// What a change would make is not there yet, and what it made may be gone.
	return !isResource(m) || d.sees(o.GetUuid(), m) || ok && d.seenUUID(o.GetUuid())
}

// message takes out what is hidden. within says that the message belongs to something that is.
func (d *redactor) message(m protoreflect.Message, within bool) {
	if isResource(m.Interface()) {
		d.resource(m)
		return
	}
	within = within || d.tells(m)
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			if within {
				m.Clear(fd)
			}
		case fd.Message() != nil:
			d.messages(m, fd, v, within)
		case fd.Kind() == protoreflect.StringKind:
			d.texts(m, fd, v, within)
		}
		return true
	})
}

// keepsPlace tells whether a part of an answer stays when it is about something hidden: the rest would not be right without it.
func keepsPlace(m proto.Message) bool {
	switch m.(type) {
	case *v1.PolicyEntry, *v1.ExplainStep, *v1.BridgeDiff:
		return true
	}
	return isResource(m)
}

// messages goes on with the messages of a field, and drops those that are hidden as a whole.
func (d *redactor) messages(m protoreflect.Message, fd protoreflect.FieldDescriptor, v protoreflect.Value, within bool) {
	if !fd.IsList() {
		if !d.shows(v.Message().Interface()) {
			m.Clear(fd)
			return
		}
		d.message(v.Message(), within)
		return
	}
	list, kept := v.List(), 0
	for i := range list.Len() {
		one := list.Get(i)
		inner := one.Message()
		if !d.shows(inner.Interface()) || !keepsPlace(inner.Interface()) && d.tells(inner) {
			continue
		}
		d.message(inner, within)
		list.Set(kept, one)
		kept++
	}
	list.Truncate(kept)
}

// texts takes hidden names out of the strings of a field.
func (d *redactor) texts(m protoreflect.Message, fd protoreflect.FieldDescriptor, v protoreflect.Value, within bool) {
	if !fd.IsList() {
		m.Set(fd, protoreflect.ValueOfString(d.text(fd, v.String(), within)))
		return
	}
	list, kept := v.List(), 0
	for i := range list.Len() {
		if s := d.text(fd, list.Get(i).String(), within); s != "" {
			list.Set(kept, protoreflect.ValueOfString(s))
			kept++
		}
	}
	list.Truncate(kept)
}

func (d *redactor) text(fd protoreflect.FieldDescriptor, s string, within bool) string {
	switch {
	case isReference(fd) && (within || d.hidden(s)):
		return ""
	case within && s != "":
		return hiddenText
	}
	return d.prose(s)
}

// isReference tells whether a field holds UUIDs.
func isReference(fd protoreflect.FieldDescriptor) bool {
	return strings.HasSuffix(string(fd.Name()), "uuid") || strings.HasSuffix(string(fd.Name()), "uuids")
}

// tells tells whether a message is about something hidden: it has its UUID.
func (d *redactor) tells(m protoreflect.Message) bool {
	found := false
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Kind() == protoreflect.StringKind && !fd.IsList() && !fd.IsMap() && d.hidden(v.String()) {
			found = true
		}
		return !found
	})
	return found
}

// resource takes out of an object that is shown where it is, and what controllers say of it. The rest is its own.
func (d *redactor) resource(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
		case fd.Message() != nil:
			d.messages(m, fd, v, false)
		case fd.Kind() != protoreflect.StringKind:
		case fd.Name() == "warnings":
			d.texts(m, fd, v, false)
		case strings.HasPrefix(string(fd.Name()), "host_uuid") || fd.Name() == "pool_uuid":
			d.texts(m, fd, v, false)
		}
		return true
	})
}
