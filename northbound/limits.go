package northbound

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Limits bound what clients can make a node spend. A limit that is 0 has the default.
type Limits struct {
	// Message is the longest message taken from a client, in bytes. The largest real ones bring
	// ten thousand live sessions, some 250 bytes each. Default 4 MiB.
	Message int
	// List is how many entries any list of a request may have; most have bounds of their own,
	// which are lower. Default 100,000.
	List int
	// Streams is how many calls may be in flight on one connection, Calls how many of one client, by its
	// name. Defaults 256 and 2048.
	Streams, Calls int
	// Arrival is how long the request of a call may take to come. Default 30 s.
	Arrival time.Duration
	// Requests is how many calls of one client are begun a second, and twice as many at once.
	// Default 5000.
	Requests int
	// Changes is how many changes of one client are made a second for long; what it has not used of
	// the last 100 seconds may come at once. One of more than 2 KiB counts as several. Default 20.
	Changes int
	// Watchers is how many watches there may be, WatchersPerClient how many of one client.
	// Defaults 4096 and 256.
	Watchers, WatchersPerClient int
	// Handshake bounds the time that a connection takes to be set up. Default 10 s.
	Handshake time.Duration
	// Stall is how long a client may take to make room for the next message of a stream, or to take a part
	// of an answer. Default 1 min.
	Stall time.Duration
	// Unread is how many bytes of answers to one client may wait to be read by it, and four times as many to all.
	// Default 64 MiB.
	Unread int
}

func (l Limits) withDefaults() Limits {
	l.Message, l.List, l.Streams = cmp.Or(l.Message, 4<<20), cmp.Or(l.List, 100_000), cmp.Or(l.Streams, 256)
	l.Requests, l.Watchers, l.WatchersPerClient = cmp.Or(l.Requests, 5000), cmp.Or(l.Watchers, 4096), cmp.Or(l.WatchersPerClient, 256)
	l.Changes, l.Unread = cmp.Or(l.Changes, 20), cmp.Or(l.Unread, 64<<20)
	l.Calls, l.Arrival = cmp.Or(l.Calls, 2048), cmp.Or(l.Arrival, callTimeout)
	l.Handshake, l.Stall = cmp.Or(l.Handshake, 10*time.Second), cmp.Or(l.Stall, time.Minute)
	return l
}

// maxClients is of how many clients the use is kept apart. Those that come on top share.
const maxClients = 4096

// usage keeps count of what each client uses, by name.
type usage struct {
	limits              Limits
	refused, turnedAway *prometheus.CounterVec
	arriving            *arrivals // for requests that are being read
	// chatting are places for requests of streams that have many: they are waited for while none is on its way.
	chatting *arrivals

	mu          sync.Mutex
	clients     map[string]*account
	connections map[*connection]struct{}
	watchers    int
	unread      int // bytes of answers that wait to be read
}

// account is what one client uses.
type account struct {
	calls, changes *rate.Limiter
	arriving       share
	chatting       share
	watchers       int
	inFlight       int
	unread         int           // bytes of answers that wait to be read
	freed          chan struct{} // closed when there are less of them; nil when nobody waits for that
}

func newUsage(l Limits) *usage {
	return &usage{limits: l, clients: map[string]*account{}, connections: map[*connection]struct{}{},
		arriving: newArrivals(l.Message, arrivingOfAll), chatting: newArrivals(l.Message, chattingOfAll),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "poolwire_api_limited_total", Help: "Calls that were refused by a limit, by the setting.",
		}, []string{"limit"}),
		turnedAway: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "poolwire_api_turned_away_total", Help: "Calls that were refused by their headers, before their request was read, by the code. The gRPC metrics do not count them.",
		}, []string{"code"}),
	}
}

// of returns what a client uses. mu is held.
func (u *usage) of(name string) *account {
	if c := u.clients[name]; c != nil {
		return c
	}
	if len(u.clients) >= maxClients {
		for other, c := range u.clients {
			if c.watchers == 0 && c.inFlight == 0 && c.unread == 0 && isFull(c.calls) && isFull(c.changes) {
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
	c := &account{
		calls: rate.NewLimiter(rate.Limit(u.limits.Requests), 2*u.limits.Requests), changes: newPace(u.limits),
	}
	u.clients[name] = c
	return c
}

func isFull(l *rate.Limiter) bool { return l.Tokens() >= float64(l.Burst()) }

// exempt tells whether a caller's calls are not counted: root on this machine, and members of the cluster. What a
// node forwards was counted by it.
func exempt(who Identity) bool {
	return who.Role == RoleNode && !who.outside || who.Via != "" || who.Credential == credentialSocket
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

// enter counts a call in flight until leave.
func (u *usage) enter(who Identity) (*account, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.of(who.Name)
	if c.inFlight >= u.limits.Calls {
		return nil, u.limited("calls_per_client", "client %q has %d calls in flight on this node already", who, c.inFlight)
	}
	c.inFlight++
	return c, nil
}

func (u *usage) leave(c *account) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c.inFlight--
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
