package northbound

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// mutability says when a client may set a field.
type mutability int

const (
	// onCreate: fixed after creation.
	onCreate mutability = iota
	// always: named in an update mask.
	always
)

// fieldRow describes one field that a client may set: one row of a resource's
// table drives creation, update masks and messages.
type fieldRow[T proto.Message] struct {
	// path is the field's proto name.
	path string
	// when says whether an update may change it.
	when mutability
	// check refuses what is not accepted and brings the rest into canonical
	// form, in place. nil accepts everything.
	check func(m T, at place)
}

// validate runs the checks of all fields.
func validate[T proto.Message](table []fieldRow[T], m T, at place) {
	for _, f := range table {
		if f.check != nil {
			f.check(m, at.field(f.path))
		}
	}
}

// inputOnly returns a copy of a message that holds nothing but what a client
// may set: output fields of a request are passed over.
func inputOnly[T proto.Message](table []fieldRow[T], m T) T {
	out := m.ProtoReflect().New()
	in := m.ProtoReflect()
	for _, f := range table {
		fd := in.Descriptor().Fields().ByName(protoreflect.Name(f.path))
		if in.Has(fd) {
			out.Set(fd, in.Get(fd))
		}
	}
	return proto.CloneOf(out.Interface().(T))
}

// maskedFields are the fields of a resource's table that an update mask names.
type maskedFields[T proto.Message] struct {
	table []fieldRow[T]
	mask  *fieldmaskpb.FieldMask
}

// copy copies the fields from src to dst. Paths that cannot be changed, and an
// empty mask, are refused with the list of those that can.
func (m maskedFields[T]) copy(dst, src T, at place) {
	// What is copied is brought into canonical form later, and the request is not
	// this function's to change.
	src = proto.CloneOf(src)
	var accepted []string
	for _, f := range m.table {
		if f.when == always {
			accepted = append(accepted, f.path)
		}
	}
	if len(m.mask.GetPaths()) == 0 {
		at.say("is required: one or more of %s", strings.Join(accepted, ", "))
		return
	}
	for i, path := range m.mask.GetPaths() {
		if !slices.Contains(accepted, path) {
			at.field("paths").index(i).refuse(path, "cannot be changed; accepted: %s", strings.Join(accepted, ", "))
			continue
		}
		fd := dst.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(path))
		if src.ProtoReflect().Has(fd) {
			dst.ProtoReflect().Set(fd, src.ProtoReflect().Get(fd))
		} else {
			dst.ProtoReflect().Clear(fd)
		}
	}
}

// masks tells whether an update mask names a field.
func masks(mask *fieldmaskpb.FieldMask, path string) bool {
	return slices.Contains(mask.GetPaths(), path)
}
