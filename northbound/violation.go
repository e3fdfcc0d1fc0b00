package northbound

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

// violations collects everything that is wrong with a request, so that one
// answer tells it all.
type violations struct {
	list []*errdetails.BadRequest_FieldViolation
}

// and returns a copy, to which more is added without changing this one.
func (v *violations) and() *violations { return &violations{list: slices.Clone(v.list)} }

// at returns the place in the request that a check speaks of.
func (v *violations) at(path string) place { return place{v: v, path: path} }

// err is nil, or INVALID_ARGUMENT with a google.rpc.BadRequest.
func (v *violations) err() error {
	if len(v.list) == 0 {
		return nil
	}
	texts := make([]string, len(v.list))
	for i, f := range v.list {
		texts[i] = f.GetField() + ": " + f.GetDescription()
	}
	return detailed(codes.InvalidArgument, strings.Join(texts, "; "), &errdetails.BadRequest{FieldViolations: v.list})
}

// place is one field of a request.
type place struct {
	v    *violations
	path string
}

// field returns the place of a field below this one.
func (p place) field(name string) place {
	if p.path == "" {
		return place{v: p.v, path: name}
	}
	return place{v: p.v, path: p.path + "." + name}
}

// index returns the place of an element of a list.
func (p place) index(i int) place { return place{v: p.v, path: fmt.Sprintf("%s[%d]", p.path, i)} }

// refuse records that a value is not accepted. The text says why and what would
// be: it follows the quoted value.
func (p place) refuse(value string, format string, args ...any) {
	p.record(quote(value) + ": " + fmt.Sprintf(format, args...))
}

// refuseNumber is refuse for a number.
func (p place) refuseNumber(value any, format string, args ...any) {
	p.record(fmt.Sprint(value) + ": " + fmt.Sprintf(format, args...))
}

// say records a sentence about a field that has no value to show.
func (p place) say(format string, args ...any) { p.record(fmt.Sprintf(format, args...)) }

func (p place) record(text string) {
	p.v.list = append(p.v.list, &errdetails.BadRequest_FieldViolation{Field: p.path, Description: text})
}

// maxQuoted is how many characters of a refused value are repeated, cutShort what follows when it has more.
const (
	maxQuoted = 80
	cutShort  = "…"
)

// quote shows a value that a client sent: quoted, and cut when it is long.
func quote(value string) string {
	if utf8.RuneCountInString(value) <= maxQuoted {
		return fmt.Sprintf("%q", value)
	}
	return fmt.Sprintf("%q", string([]rune(value)[:maxQuoted])) + cutShort
}

// referenceError says that a name in a request leads to no object, or to more
// than one. It is a gRPC status: NOT_FOUND when the name is what the call is
// about. A name inside a body is recorded as a violation instead (adopt).
type referenceError struct {
	code codes.Code
	// text says what is wrong with the field, the quoted value included.
	field, text string
}

func (e *referenceError) Error() string { return e.field + ": " + e.text }

// GRPCStatus makes the error a status.
func (e *referenceError) GRPCStatus() *status.Status {
	bad := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: e.field, Description: e.text},
	}}
	return status.Convert(detailed(e.code, e.Error(), bad))
}

// adopt records a reference error as a violation of the request. Any other
// error is returned.
func (v *violations) adopt(err error) error {
	var ref *referenceError
	if !errors.As(err, &ref) {
		return err
	}
	v.at(ref.field).say("%s", ref.text)
	return nil
}

// detailed makes a status with details.
func detailed(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	st := status.New(code, message)
	if with, err := st.WithDetails(details...); err == nil {
		st = with
	}
	return st.Err()
}

// listed joins names for a message: at most ten, then how many more there are.
func listed(names []string) string {
	const most = 10
	if len(names) == 0 {
		return "none"
	}
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
