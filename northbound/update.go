package northbound

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// resource is what the messages of resources share.
type resource interface {
	proto.Message
	comparable
	GetUuid() string
	GetEtag() string
}

// updater turns a request to change a resource into the resource as it is to
// be stored.
type updater[T resource] struct {
	table []fieldRow[T]
	// name is the field of the request that holds the resource.
	name string
	// get finds the stored one, nil when there is none.
	get func(uuid string) T
	// also checks what goes beyond single fields; may be nil.
	also func(old, now T, at place) error
}

// apply returns the stored resource with the masked fields of a request, all of
// it checked, and with the etag it has to be guarded by.
func (u updater[T]) apply(asked T, mask *fieldmaskpb.FieldMask) (T, error) {
	var none T
	old, err := u.target(asked)
	if err != nil {
		return none, err
	}
	var bad violations
	now := proto.CloneOf(old)
	maskedFields[T]{u.table, mask}.copy(now, asked, bad.at("update_mask"))
	validate(u.table, now, bad.at(u.name))
	if u.also != nil {
		if err := u.also(old, now, bad.at(u.name)); err != nil {
			return none, err
		}
	}
	if err := bad.err(); err != nil {
		return none, err
	}
	setEtag(now, guard(asked.GetEtag(), old.GetEtag()))
	return now, nil
}

// target finds the resource that an update names by its uuid.
func (u updater[T]) target(asked T) (T, error) {
	var none T
	id := asked.GetUuid()
	field := u.name + ".uuid"
	if id == "" {
		return none, missing(field, "the UUID of what is to be changed")
	}
	if canonical, ok := canonicalUUID(id); ok {
		id = canonical
	}
	old := u.get(id)
	if old == none {
		return none, unresolved(field, asked.GetUuid(), "there is no "+strings.ReplaceAll(u.name, "_", " ")+" with this UUID")
	}
	return old, nil
}

func setEtag(m proto.Message, etag string) {
	fd := m.ProtoReflect().Descriptor().Fields().ByName("etag")
	m.ProtoReflect().Set(fd, protoreflect.ValueOfString(etag))
}

// enum is a generated enum.
type enum interface {
	protoreflect.Enum
	String() string
}

// checkEnum refuses a number that the enum does not have, with the names it has.
func checkEnum(at place, value enum) {
	values := value.Descriptor().Values()
	if values.ByNumber(value.Number()) == nil {
		at.refuseNumber(value.Number(), "is not known; accepted: %s", strings.Join(enumNames(value), ", "))
	}
}

// requiredEnum is checkEnum for a field that has no default.
func requiredEnum(at place, value enum) {
	if value.Number() == 0 {
		at.say("is required: %s", strings.Join(enumNames(value), ", "))
		return
	}
	checkEnum(at, value)
}

// enumNames are the names of an enum's values without that of 0, in words a
// client of any kind knows: without the prefix all of them share.
func enumNames(value enum) []string {
	var out []string
	values := value.Descriptor().Values()
	prefix := strings.TrimSuffix(string(values.ByNumber(0).Name()), "UNSPECIFIED")
	for i := range values.Len() {
		if v := values.Get(i); v.Number() != 0 {
			out = append(out, strings.TrimPrefix(string(v.Name()), prefix))
		}
	}
	return slices.Clip(out)
}

// enumName is the name of one value, as enumNames writes it.
func enumName(value enum) string {
	values := value.Descriptor().Values()
	return strings.TrimPrefix(value.String(), strings.TrimSuffix(string(values.ByNumber(0).Name()), "UNSPECIFIED"))
}
