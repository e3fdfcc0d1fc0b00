package northbound

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// far is more than any list of a request may have.
const far = 100_001

// overlong calls f with a request that is empty but for one list, which is longer than any may be,
// for each list of a message. path says which.
func overlong(m protoreflect.Message, path string, depth int, f func(path string)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		here := strings.TrimPrefix(path+"."+string(fd.Name()), ".")
		switch {
		case fd.IsMap():
			entries := m.Mutable(fd).Map()
			for n := range far {
				entries.Set(protoreflect.ValueOfString(strings.Repeat("a", n%60)+string(rune('a'+n%26))+itoa(n)).MapKey(), entries.NewValue())
			}
			f(here)
		case fd.IsList():
			list := m.Mutable(fd).List()
			for range far {
				list.Append(list.NewElement())
			}
			f(here)
			if fd.Kind() == protoreflect.MessageKind && depth > 0 {
				list.Truncate(1)
				overlong(list.Get(0).Message(), here, depth-1, f)
			}
		case fd.Kind() == protoreflect.MessageKind && depth > 0:
			overlong(m.Mutable(fd).Message(), here, depth-1, f)
		}
		m.Clear(fd)
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/10000%10), byte('0' + n/1000%10), byte('0' + n/100%10), byte('0' + n/10%10), byte('0' + n%10)})
}

// Every list of every request has a bound, and what is longer is refused by saying which list and
// how long it may be. A list that is new is tried too.
func TestEveryListIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, method := range harmless(t) {
		request := method.request.New()
		dry := request.Descriptor().Fields().ByName("validate_only")
		overlong(request, "", 3, func(path string) {
			if dry != nil {
				request.Set(dry, protoreflect.ValueOfBool(true))
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			err := w.conn.Invoke(ctx, method.name, request.Interface(), method.response.New().Interface())
			if dry != nil {
				request.Clear(dry)
			}
			if status.Code(err) == codes.Unimplemented {
				return // its service is not served here
			}
			if code := status.Code(err); code != codes.InvalidArgument && code != codes.ResourceExhausted || !strings.Contains(err.Error(), "at most") {
				text := "nothing"
				if err != nil {
					text = err.Error()
				}
				t.Errorf("%s: %s with %d entries: %.300s", method.name, path, far, text)
			}
		})
	}
}
