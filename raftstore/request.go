package raftstore

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// maxRequests is how many request ids are remembered. When there are more, the oldest one goes of whoever has the most:
// the ids of one who has used no more than an equal share are safe from all others. It is part of the state machine's
// meaning: changing it is a new command.
const maxRequests = 10_000

// Asked is who asks for something, and under which id.
type Asked struct {
	// Author is who asks: Command.author.
	Author string
	// RequestID is empty for a request that cannot be repeated.
	RequestID string
	// Content is the SHA-256 of the request; empty for one that is not compared.
	Content []byte
}

// Sign writes into a command who asked for it.
func (a Asked) Sign(c *storev1.Command) {
	c.Author, c.RequestId, c.RequestContent = a.Author, a.RequestID, a.Content
}

// requestCount counts the remembered requests, by author.
type requestCount struct {
	of    map[string]int
	total int
}

func newRequestCount() requestCount { return requestCount{of: map[string]int{}} }

// add counts a change of what is remembered of somebody.
func (n *requestCount) add(author string, change int) {
	n.total += change
	if n.of[author] += change; n.of[author] <= 0 {
		delete(n.of, author)
	}
}

// most is who has the most when one more of somebody is counted; of several the one whose name sorts first.
func (n *requestCount) most(and string) string {
	who, most := and, n.of[and]+1
	for author, have := range n.of {
		if author != and && (have > most || have == most && author < who) {
			who, most = author, have
		}
	}
	return who
}

// requestChange is by how much the number of somebody's remembered requests has changed.
type requestChange struct {
	author string
	by     int
}

// authorOf is in whose name space the request id of a command is. Before meaningSecured there was one for all.
func authorOf(c *storev1.Command) string {
	if meaningOf(c) < meaningSecured {
		return ""
	}
	return c.GetAuthor()
}

// requestKey is the key of a remembered request. One without an author is found by its id alone.
func requestKey(author, id string) string {
	if author == "" {
		return id
	}
	return indexKey(author) + id
}

// requested returns what is remembered of a request: of the author or, when there is nothing, of the time when it was
// not written down whose it was. nil for nothing.
func (v *View) requested(author, id string) *storev1.Request {
	if r := get[*storev1.Request](v, TableRequests, requestKey(author, id)); r != nil || author == "" {
		return r
	}
	return get[*storev1.Request](v, TableRequests, requestKey("", id))
}

// Requested reports whether a request is remembered: a command that has its id is not done.
func (v *View) Requested(by Asked) bool {
	return by.RequestID != "" && v.requested(by.Author, by.RequestID) != nil
}

// repeated looks a command's request id up. It returns the first outcome when
// the same was asked for by the same author under that id.
func (t *tx) repeated(number uint32, c *storev1.Command) (Result, bool, error) {
	id := c.GetRequestId()
	if id == "" {
		return Result{}, false, nil
	}
	if utf8.RuneCountInString(id) > maxRequestID {
		return Result{}, false, &InvalidError{Field: "request_id", Value: id, Reason: "must have at most 64 characters"}
	}
	author := authorOf(c)
	r := t.requested(author, id)
	refused := func(reason string) (Result, bool, error) {
		return Result{}, false, &InvalidError{Field: "request_id", Value: id, Reason: reason}
	}
	switch other := r.GetCommand() != number; {
	case r == nil, other && r.GetAuthor() != author:
		return Result{}, false, nil
	case other:
		return refused("was used for another kind of request")
	case r.GetAuthor() != author:
		// It may be the same request, or that of anybody else: neither to do it again nor to say that it is done would be right.
		return refused("was used before the nodes were upgraded, when it was not written down by whom: see whether the change is there, and use another id")
	case len(r.GetContent()) > 0 && len(c.GetRequestContent()) > 0 && !bytes.Equal(r.GetContent(), c.GetRequestContent()):
		return refused("was used for a request that asked for something else: use another id")
	}
	return t.firstOutcome(number, r), true, nil
}

// firstOutcome is what came of a request when it was done.
func (t *tx) firstOutcome(number uint32, r *storev1.Request) Result {
	res := Result{Revision: r.GetRevision(), UUIDs: r.GetUuids(), Pairs: r.GetPairs(), Duplicate: true}
	if number == numberPutRule && len(res.UUIDs) > 1 {
		res.UUIDs, res.Replaced = res.UUIDs[:1], res.UUIDs[1:]
	}
	if p := t.PendingChange(strconv.FormatUint(res.Revision, 10)); p != nil {
		res.Pending = p.GetId()
	}
	return res
}

// numberPutRule is the command whose remembered UUIDs are the rule and then
// those it replaced.
const numberPutRule = 11

// remember keeps the outcome of a command that carried a request id, and forgets another one when there are too many. It
// returns how the numbers of remembered requests have changed.
func (t *tx) remember(number uint32, c *storev1.Command, res Result, have *requestCount) []requestChange {
	if c.GetRequestId() == "" {
		return nil
	}
	r := &storev1.Request{Id: c.GetRequestId(), Command: number, Revision: t.revision, Pairs: res.Pairs, Author: authorOf(c)}
	r.Uuids = append(append([]string{}, res.UUIDs...), res.Replaced...)
	secured := meaningOf(c) >= meaningSecured
	if secured {
		r.Content = c.GetRequestContent()
	}
	t.put(TableRequests, r)
	changed := []requestChange{{r.GetAuthor(), 1}}
	if have.total < maxRequests {
		return changed
	}
	index, key := indexRevision, ""
	if secured {
		index, key = indexOwner, indexKey(have.most(r.GetAuthor()))
	}
	// After a restore have is that of the state before, and is counted anew.
	if oldest := t.first(resourceOf(TableRequests).name, index, key); oldest != nil {
		t.del(TableRequests, oldest.key)
		changed = append(changed, requestChange{oldest.msg.(*storev1.Request).GetAuthor(), -1})
	}
	return changed
}
