package northbound

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	// unreadOfAll is how many times what one client may leave unread all together may.
	unreadOfAll = 4
	// stallsOfOne is how many times as long as all that waits on its connection an answer may wait of which the client
	// takes nothing, when it takes of others: gRPC gives each its turn, and an answer has windows of its own.
	stallsOfOne = 10
)

// ender is the AuthInfo of a connection that can be ended (door.Guest).
type ender interface {
	// End closes the connection.
	End()
}

// connection is what waits on one connection to be read by its client.
type connection struct {
	usage  *usage
	log    *slog.Logger
	remote net.Addr
	ender  ender // nil for one that cannot be ended

	unread map[*account]int   // bytes by client; guarded by usage.mu
	debts  map[*debt]struct{} // guarded by usage.mu
	taken  time.Time          // when the client took something of any; guarded by usage.mu
}

// debt is what a client has still to read of an answer.
type debt struct {
	by   *account
	on   *connection
	size int // bytes of the whole answer
	// stall is how long the client may take nothing on its connection before that is ended, and stallsOfOne times of
	// this answer.
	stall time.Duration
	taken time.Time   // when the client took something of it, or it began; guarded by usage.mu
	timer *time.Timer // guarded by usage.mu; looks whether the connection is to be ended
}

// bill is a message that is to be sent.
type bill struct {
	who Identity
	msg any
	// most is how many bytes the client may have to read with this one, when there is something else. What was done
	// before is not refused.
	most int
	// late is when a message that waits until there is room is refused; nil for one that does not wait.
	late <-chan time.Time
	// stall is how long the client may take nothing of it.
	stall time.Duration
}

// owed makes a message one that is counted from now on. Callers that are exempt get it as it is, and so does everybody
// what is too short for a pool: there is at most one of it for each call, and the number of those is limited.
func (u *usage) owed(ctx context.Context, b bill) (any, error) {
	m, ok := b.msg.(proto.Message)
	on, known := ctx.Value(connectionKey{}).(*connection)
	if !ok || !known || exempt(b.who) {
		return b.msg, nil
	}
	d := &debt{on: on, size: proto.Size(m), stall: b.stall}
	if mem.IsBelowBufferPoolingThreshold(d.size) {
		return b.msg, nil
	}
	u.mu.Lock()
	for {
		d.by = u.of(b.who.Name)
		unread := d.by.unread
		if unread == 0 || unread+d.size <= b.most {
			break
		}
		freed := d.by.nextFreed()
		u.mu.Unlock()
		if b.late == nil {
			return nil, u.unreadAnswers(b.who, unread)
		}
		select {
		case <-freed:
		case <-b.late:
			return nil, u.unreadAnswers(b.who, unread)
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		u.mu.Lock()
	}
	ends := u.owe(d)
	u.mu.Unlock()
	for _, c := range ends {
		c.end("unread_answers")
	}
	return &answer{m, d}, nil
}

// room refuses the call of a client that has left too much unread.
func (u *usage) room(who Identity) error {
	if exempt(who) {
		return nil
	}
	u.mu.Lock()
	unread := u.of(who.Name).unread
	u.mu.Unlock()
	if unread < u.limits.Unread {
		return nil
	}
	return u.unreadAnswers(who, unread)
}

func (u *usage) unreadAnswers(who Identity, unread int) error {
	return u.limited("unread_answers", "client %q has left %d bytes of answers unread", who, unread)
}

// owe puts an answer on its accounts. When all together have left too much unread, it takes off them what waits on
// the connections that it returns, which are to be ended. mu is held.
func (u *usage) owe(d *debt) (ends []*connection) {
	d.by.unread += d.size
	d.on.unread[d.by] += d.size
	u.unread += d.size
	d.on.debts[d] = struct{}{}
	d.taken = time.Now()
	d.timer = time.AfterFunc(d.stall, d.overdue)
	for u.unread > unreadOfAll*u.limits.Unread {
		most := u.most()
		if most == nil {
			break
		}
		u.forgiveAll(most)
		ends = append(ends, most)
	}
	return ends
}

// most is, of the client that has left most unread, the connection with the most of it, whatever others have on it;
// nil for none that can be ended. mu is held.
func (u *usage) most() (most *connection) {
	var by *account
	for c := range u.connections {
		if c.ender == nil {
			continue
		}
		for a, n := range c.unread {
			if by == nil || cmp.Or(cmp.Compare(a.unread, by.unread), cmp.Compare(n, most.unread[by])) > 0 {
				most, by = c, a
			}
		}
	}
	return most
}

// goesOn gives a client time for the next piece, and for what else waits on the connection.
func (d *debt) goesOn() {
	u := d.on.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	d.taken = time.Now()
	d.on.taken = d.taken
}

// settle takes an answer off its accounts, once.
func (d *debt) settle() {
	u := d.on.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forgive(d)
}

// nextFreed is closed when something of what a client has left unread is gone. usage.mu is held.
func (a *account) nextFreed() <-chan struct{} {
	if a.freed == nil {
		a.freed = make(chan struct{})
	}
	return a.freed
}

// forgive is settle with mu held.
func (u *usage) forgive(d *debt) {
	if _, owed := d.on.debts[d]; !owed {
		return
	}
	delete(d.on.debts, d)
	d.on.taken = time.Now()
	d.timer.Stop()
	d.by.unread -= d.size
	if d.on.unread[d.by] -= d.size; d.on.unread[d.by] == 0 {
		delete(d.on.unread, d.by)
	}
	u.unread -= d.size
	if d.by.freed != nil {
		close(d.by.freed)
		d.by.freed = nil
	}
}

// overdue ends the connection of a client that has taken nothing for too long, or looks again when it would have.
func (d *debt) overdue() {
	u := d.on.usage
	u.mu.Lock()
	_, owed := d.on.debts[d]
	one := time.Since(d.taken)
	left := min(d.stall-min(one, time.Since(d.on.taken)), stallsOfOne*d.stall-one)
	if owed && left > 0 {
		d.timer.Reset(left)
	}
	u.mu.Unlock()
	if owed && left <= 0 {
		d.on.end("stalled_stream")
	}
}

// end ends a connection for a limit. What waits on it is gone.
func (c *connection) end(limit string) {
	if c.ender == nil {
		return
	}
	c.usage.refused.WithLabelValues(limit).Inc()
	c.log.Info("a client does not read its answers: its connection is ended", "remote", c.remote, "limit", "limits."+limit)
	c.gone()
	c.ender.End()
}

// gone takes everything off the accounts that waits on a connection.
func (c *connection) gone() {
	c.usage.mu.Lock()
	defer c.usage.mu.Unlock()
	c.usage.forgiveAll(c)
}

// forgiveAll is gone with mu held.
func (u *usage) forgiveAll(c *connection) {
	for d := range c.debts {
		u.forgive(d)
	}
}
