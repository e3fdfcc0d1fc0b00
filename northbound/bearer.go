package northbound

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/strangers"
)

// A bearer token is "pwt_ID_SECRET" in the metadata of a call, "authorization: Bearer TOKEN" (RFC 6750 section 2.1). The
// secret has 256 random bits: nobody guesses it, nor finds it by trying from its hash, so one round of SHA-256
// keeps it as well as a slow hash would a password.
const (
	tokenKey     = "authorization"
	tokenPrefix  = "pwt_"
	tokenIDBytes = 8
	secretBytes  = 32
)

// Bounds of refused tokens from one origin (strangers.Origin).
const (
	maxRefused     = 20
	refusedFor     = time.Minute
	maxRefusedFrom = 4096 // origins
)

// formToken writes a token down.
func formToken(id string, secret []byte) string {
	return tokenPrefix + id + "_" + hex.EncodeToString(secret)
}

// parseToken reads the header of a call; false for what is no token.
func parseToken(header string) (id string, sum [sha256.Size]byte, ok bool) {
	scheme, text, found := strings.Cut(header, " ")
	text, prefixed := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	id, digits, parted := strings.Cut(text, "_")
	if !found || !strings.EqualFold(scheme, "Bearer") || !prefixed || !parted || len(id) != 2*tokenIDBytes || len(digits) != 2*secretBytes {
		return "", sum, false
	}
	secret, err := hex.DecodeString(digits)
	return id, sha256.Sum256(secret), err == nil
}

// bearer finds out whose token a call has. What is wrong with one that is refused is not told.
func (s *Server) bearer(headers []string, address string) (Identity, error) {
	id, sum, ok := parseToken(headers[0])
	v := s.cfg.Store.View()
	k := v.Token(id)
	have := k.GetSecretSha256()
	if len(have) != len(sum) {
		have = make([]byte, len(sum))
	}
	same := subtle.ConstantTimeCompare(have, sum[:]) == 1
	if len(headers) != 1 || !ok || k == nil || !same || isOver(k.GetToken()) {
		from := originAt(address)
		if s.tokenRefusals.tooMany(from, time.Now()) {
			return Identity{}, status.Error(codes.ResourceExhausted, "this token is not accepted, nor were too many others from this address; try again in a minute")
		}
		s.tokenRefusals.add(from, time.Now())
		return Identity{}, errToken()
	}
	s.tokenUse.note(v, id, time.Now())
	return Identity{Name: k.GetToken().GetOwner(), Credential: credentialToken + id, Address: address}, nil
}

// originAt is the origin of a call from an address and a port, the zero address for the unix socket.
func originAt(address string) netip.Addr {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Addr{}
	}
	return strangers.Origin(net.TCPAddrFromAddrPort(at))
}

// errToken says what helps, and not which of it was wrong.
func errToken() error {
	return status.Error(codes.Unauthenticated, "the token is not accepted: it is not one of this cluster, has ended or was revoked; "+
		"have another one made (poolwire token create)")
}

// isOver tells whether a token has expired.
func isOver(t *v1.Token) bool { return !t.GetExpireTime().AsTime().After(time.Now()) }

// tokenStands tells whether the token of somebody who was let in is still good in a state.
func tokenStands(v *raftstore.View, who Identity) error {
	id, ok := strings.CutPrefix(who.Credential, credentialToken)
	if !ok {
		return nil
	}
	if t := v.Token(id).GetToken(); t == nil || isOver(t) || t.GetOwner() != who.Name {
		return errToken()
	}
	return nil
}

// tokenRefusals counts the tokens that were refused, by origin.
type tokenRefusals struct {
	mu   sync.Mutex
	from map[netip.Addr]*refused // guarded by mu
}

// refused are those of one origin since the first one of a minute.
type refused struct {
	since time.Time
	n     int
}

func (r *tokenRefusals) tooMany(origin netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.from[origin]
	return have != nil && now.Sub(have.since) < refusedFor && have.n >= maxRefused
}

func (r *tokenRefusals) add(origin netip.Addr, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.from == nil {
		r.from = map[netip.Addr]*refused{}
	}
	have := r.from[origin]
	if have == nil || now.Sub(have.since) >= refusedFor {
		r.makeRoom(now)
		have = &refused{since: now}
		r.from[origin] = have
	}
	have.n++
}

// makeRoom forgets the origins whose minute is over, and all when that is not enough. mu is held.
func (r *tokenRefusals) makeRoom(now time.Time) {
	if len(r.from) < maxRefusedFrom {
		return
	}
	for a, have := range r.from {
		if now.Sub(have.since) >= refusedFor {
			delete(r.from, a)
		}
	}
	if len(r.from) >= maxRefusedFrom {
		clear(r.from)
	}
}

// tokenUse remembers when tokens were last seen, to the minute.
type tokenUse struct {
	at sync.Map // id: time.Time
}

// note takes note of a token of a state. When one comes that was not known, those are forgotten that the state no longer has,
// whichever node they were revoked on: there are never many more than it has.
func (u *tokenUse) note(v *raftstore.View, id string, now time.Time) {
	if _, known := u.at.Swap(id, now.Truncate(time.Minute)); known {
		return
	}
	u.at.Range(func(other, _ any) bool {
		if v.Token(other.(string)) == nil {
			u.at.Delete(other)
		}
		return true
	})
}

func (u *tokenUse) of(id string) (time.Time, bool) {
	at, ok := u.at.Load(id)
	if !ok {
		return time.Time{}, false
	}
	return at.(time.Time), true
}
