package northbound

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "poolwire/proto/poolwire/v1"
)

// Limits bound what clients can make a node spend. A limit that is 0 has the default.
type Limits struct {
	// Message is the longest message taken from a client, in bytes. The largest real ones bring
	// ten thousand live sessions, some 250 bytes each. Default 4 MiB.
	Message int
	// List is how many entries any list of a request may have; most have bounds of their own,
	// which are lower. Default 100,000.
	List int
	// Streams is how many calls may be in flight on one connection. Default 256.
	Streams int
	// Requests is how many calls of one client are begun a second, and twice as many at once.
	// Default 5000.
	Requests int
	// Watchers is how many watches there may be, WatchersPerClient how many of one client.
	// Defaults 4096 and 256.
	Watchers, WatchersPerClient int
	// Handshake bounds the time that a connection takes to be set up. Default 10 s.
	Handshake time.Duration
	// Stall is how long a client may take to make room for the next message of a stream.
	// Default 1 min.
	Stall time.Duration
}

func (l Limits) withDefaults() Limits {
	l.Message, l.List, l.Streams = cmp.Or(l.Message, 4<<20), cmp.Or(l.List, 100_000), cmp.Or(l.Streams, 256)
	l.Requests, l.Watchers, l.WatchersPerClient = cmp.Or(l.Requests, 5000), cmp.Or(l.Watchers, 4096), cmp.Or(l.WatchersPerClient, 256)
	l.Handshake, l.Stall = cmp.Or(l.Handshake, 10*time.Second), cmp.Or(l.Stall, time.Minute)
	return l
}

// maxClients is of how many clients the use is kept apart. Those that come on top share.
const maxClients = 4096

// usage keeps count of what each client uses, by name.
type usage struct {
	limits  Limits
	refused *prometheus.CounterVec

	mu       sync.Mutex
	clients  map[string]*account
	watchers int
}

// account is what one client uses.
type account struct {
	calls    *rate.Limiter
	watchers int
}

func newUsage(l Limits) *usage {
	return &usage{limits: l, clients: map[string]*account{}, refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "poolwire_api_limited_total", Help: "Calls that were refused by a limit, by the setting.",
	}, []string{"limit"})}
}

// of returns what a client uses. mu is held.
func (u *usage) of(name string) *account {
	if c := u.clients[name]; c != nil {
		return c
	}
	if len(u.clients) >= maxClients {
		for other, c := range u.clients {
			if c.watchers == 0 && c.calls.Tokens() >= float64(c.calls.Burst()) {
				delete(u.clients, other) // as good as new
			}
		}
	}
	if len(u.clients) >= maxClients {
		name = "" // no client has this name
		if c := u.clients[name]; c != nil {
			return c
		}
	}
	c := &account{calls: rate.NewLimiter(rate.Limit(u.limits.Requests), 2*u.limits.Requests)}
	u.clients[name] = c
	return c
}

// exempt tells whether a caller's calls are not counted: root on this machine, and nodes. What a
// node forwards was counted by it.
func exempt(who Identity) bool {
	return who.Role == RoleNode || who.Via != "" || who.Credential == credentialSocket
}

// begin counts a call.
func (u *usage) begin(who Identity) error {
	if exempt(who) {
		return nil
	}
	u.mu.Lock()
	calls := u.of(who.Name).calls
	u.mu.Unlock()
	if calls.Allow() {
		return nil
	}
	return u.limited("requests_per_second", "client %q has made more than %d calls a second", who, u.limits.Requests)
}

// watch counts a watch until release is called.
func (u *usage) watch(who Identity) (release func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.of(cmp.Or(who.Name, "?"))
	switch {
	case u.watchers >= u.limits.Watchers:
		return nil, u.limited("watchers", "there are %d watches on this node already; another node may have room", u.watchers)
	case c.watchers >= u.limits.WatchersPerClient && who.Role != RoleNode:
		return nil, u.limited("watchers_per_client", "client %q has %d watches on this node already", who, c.watchers)
	}
	u.watchers++
	c.watchers++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.watchers--
		c.watchers--
	}, nil
}

// lists refuses a request with a list that is too long.
func (u *usage) lists(req any) error {
	m, ok := req.(proto.Message)
	if !ok {
		return nil
	}
	if path, n := longList(m.ProtoReflect(), u.limits.List); n > 0 {
		return u.limited("list_length", "%s has %d entries; at most %d are accepted", path, n, u.limits.List)
	}
	return nil
}

// limited is the error of a limit.
func (u *usage) limited(limit, format string, args ...any) error {
	u.refused.WithLabelValues(limit).Inc()
	return status.Errorf(codes.ResourceExhausted, format+" (limits.%s)", append(args, limit)...)
}

// longList finds a list of more than most entries in a message: where it is, and how long.
func longList(m protoreflect.Message, most int) (path string, n int) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		nested := fd.Kind() == protoreflect.MessageKind || fd.Kind() == protoreflect.GroupKind
		switch {
		case fd.IsMap():
			n = v.Map().Len()
		case fd.IsList():
			if n = v.List().Len(); n <= most && nested {
				for i := range v.List().Len() {
					if path, n = longList(v.List().Get(i).Message(), most); n > most {
						path = fmt.Sprintf("%s[%d].%s", fd.Name(), i, path)
						return false
					}
				}
			}
		case nested:
			path, n = longList(v.Message(), most)
			path = "." + path
		}
		if n > most {
			path = strings.TrimSuffix(string(fd.Name())+path, ".")
			return false
		}
		path, n = "", 0
		return true
	})
	return path, n
}

// watches tells whether a method's answers go on until the client ends them.
func watches(method string) bool {
	switch method {
	case v1.WatchService_Watch_FullMethodName, v1.PolicyService_WatchDenied_FullMethodName:
		return true
	}
	return strings.Contains(method[strings.LastIndexByte(method, '/')+1:], "Watch")
}

func (s *Server) limitUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := s.usage.begin(callOf(ctx).who); err != nil {
		return nil, err
	}
	if err := s.usage.lists(req); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (s *Server) limitStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	who := callOf(ss.Context()).who
	if err := s.usage.begin(who); err != nil {
		return err
	}
	if watches(info.FullMethod) {
		release, err := s.usage.watch(who)
		if err != nil {
			return err
		}
		defer release()
	}
	return next(srv, &boundedStream{ServerStream: ss, usage: s.usage})
}

// boundedStream refuses requests with lists that are too long, and ends the stream of a client
// that does not read.
type boundedStream struct {
	grpc.ServerStream
	usage *usage
}

// RecvMsg receives a request (grpc.ServerStream).
func (b *boundedStream) RecvMsg(m any) error {
	if err := b.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return b.usage.lists(m)
}

// SendMsg sends a message (grpc.ServerStream). When the client makes no room for it in time, the
// call is to end: its status waits for the client, and nothing else does. The end of the call
// also ends the sending that is left behind.
func (b *boundedStream) SendMsg(m any) error {
	sent := make(chan error, 1)
	go func() { sent <- b.ServerStream.SendMsg(m) }()
	stalled := time.NewTimer(b.usage.limits.Stall)
	defer stalled.Stop()
	select {
	case err := <-sent:
		return err
	case <-stalled.C:
		return b.usage.limited("stalled_stream", "the client has not read for %s", b.usage.limits.Stall)
	}
}
