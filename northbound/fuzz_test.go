package northbound

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	v1 "poolwire/proto/poolwire/v1"
)

// unary is a method that takes one message and returns one.
type unary struct {
	name              string
	request, response protoreflect.MessageType
}

// harmless lists the methods that can be called with anything and change nothing: reads, and
// changes that can be tried. A call that waits for something says how long with timeout.
func harmless(tb testing.TB) []unary {
	tb.Helper()
	var out []unary
	protoregistry.GlobalFiles.RangeFilesByPackage("poolwire.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				name := "/" + string(service.FullName()) + "/" + string(m.Name())
				fields := m.Input().Fields()
				if m.IsStreamingClient() || m.IsStreamingServer() || fields.ByName("timeout") != nil || access(name) == RoleNode || mutates(name) && fields.ByName("validate_only") == nil {
					continue
				}
				request, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
				if err != nil {
					tb.Fatal(err)
				}
				response, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
				if err != nil {
					tb.Fatal(err)
				}
				out = append(out, unary{name, request, response})
			}
		}
		return true
	})
	slices.SortFunc(out, func(a, b unary) int { return strings.Compare(a.name, b.name) })
	return out
}

// sample fills in a message with what its fields might hold, n choosing among it.
func sample(m protoreflect.Message, n, depth int) {
	words := []string{"paris", xcp1, "xcp2", "xenbr0", vif1, mac1, "192.0.2.0/24", "2001:db8::/64", "tcp", "a=b,c!=d", "*", "80-90", "\xef\xbf\xbd", "-1"}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.ContainingOneof() != nil && m.WhichOneof(fd.ContainingOneof()) != nil {
			continue
		}
		one := func(v protoreflect.Value) {
			if fd.IsList() {
				m.Mutable(fd).List().Append(v)
			} else {
				m.Set(fd, v)
			}
		}
		switch {
		case fd.IsMap():
		case fd.Kind() == protoreflect.MessageKind && depth == 0:
		case fd.Kind() == protoreflect.MessageKind && fd.IsList():
			sample(m.Mutable(fd).List().AppendMutable().Message(), n, depth-1)
		case fd.Kind() == protoreflect.MessageKind:
			sample(m.Mutable(fd).Message(), n, depth-1)
		case fd.Kind() == protoreflect.StringKind && fd.Name() == "paths":
			one(protoreflect.ValueOfString([]string{"name_label", "qos", "members", "allowed_hosts"}[n%4]))
		case fd.Kind() == protoreflect.StringKind:
			one(protoreflect.ValueOfString(words[(n+i)%len(words)]))
		case fd.Kind() == protoreflect.BytesKind:
			one(protoreflect.ValueOfBytes([]byte(words[n%len(words)])))
		case fd.Kind() == protoreflect.BoolKind:
			one(protoreflect.ValueOfBool((n+i)%2 == 0))
		case fd.Kind() == protoreflect.EnumKind:
			one(protoreflect.ValueOfEnum(protoreflect.EnumNumber(1 + n%3)))
		case fd.Kind() == protoreflect.Uint32Kind:
			one(protoreflect.ValueOfUint32(uint32(n * 11)))
		case fd.Kind() == protoreflect.Uint64Kind:
			one(protoreflect.ValueOfUint64(uint64(n) << (7 * i % 64)))
		case fd.Kind() == protoreflect.Int32Kind:
			one(protoreflect.ValueOfInt32(int32(n)))
		case fd.Kind() == protoreflect.Int64Kind:
			one(protoreflect.ValueOfInt64(int64(n) << 20))
		}
	}
}

// Whatever a request holds, the answer is a result or the client's own mistake, and a change that
// is only tried changes nothing.
func FuzzRequest(f *testing.F) {
	w := newWorld(f)
	methods := harmless(f)
	add := func(method string, m proto.Message) {
		at := slices.IndexFunc(methods, func(u unary) bool { return u.name == method })
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		if at >= 0 {
			f.Add(uint16(at), data)
		}
	}
	for _, tr := range w.trials() {
		add(tr.method, tr.asked)
	}
	for _, m := range methods {
		for n := range 4 {
			request := m.request.New()
			sample(request, n*5, 3)
			add(m.name, request.Interface())
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, data []byte) {
		method := methods[int(which)%len(methods)]
		request, response := method.request.New(), method.response.New()
		if proto.Unmarshal(data, request.Interface()) != nil {
			return
		}
		if fd := request.Descriptor().Fields().ByName("validate_only"); fd != nil {
			request.Set(fd, protoreflect.ValueOfBool(true))
		}
		before := w.store.View().Revision()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := w.conn.Invoke(ctx, method.name, request.Interface(), response.Interface())
		switch status.Code(err) {
		case codes.Internal, codes.Unknown, codes.DeadlineExceeded, codes.Unavailable, codes.DataLoss:
			t.Fatalf("%s: %v", method.name, err)
		}
		if after := w.store.View().Revision(); after != before && method.name != v1.ClusterService_GetClusterStatus_FullMethodName {
			t.Fatalf("%s: revision %d became %d", method.name, before, after)
		}
	})
}
