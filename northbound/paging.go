package northbound

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
)

// Page sizes.
const (
	defaultPage = 100
	maxPage     = 1000
	// pageBytes is where a page ends before it has as many entries as were asked for: gRPC's clients take answers of
	// 4 MiB, unless they are told to take longer ones, and this leaves room for what is beside the entries.
	pageBytes = 4<<20 - 64<<10
)

// sortKey joins the parts of a list's order. A NUL cannot occur in a part and
// sorts before everything, so that keys compare as their parts do.
func sortKey(parts ...string) string { return strings.Join(parts, "\x00") }

// pageQuery is one page asked for.
type pageQuery struct {
	size  uint32
	token string
	// query is what was asked for: the method and its filters. A token is good
	// only for the same.
	query []string
}

// cursor is where a page begins.
type cursor struct {
	size int
	// after is the key of the last entry of the previous page.
	after string
	query uint64
}

// cursor checks size and token.
func (q pageQuery) cursor(v *violations) cursor {
	c := cursor{size: int(q.size), query: hashOf(q.query)}
	switch {
	case q.size == 0:
		c.size = defaultPage
	case q.size > maxPage:
		v.at("page_size").refuseNumber(q.size, "must be 1 to %d, or 0 for %d", maxPage, defaultPage)
	}
	if q.token == "" {
		return c
	}
	raw, err := base64.RawURLEncoding.DecodeString(q.token)
	if err != nil || len(raw) < 8 {
		v.at("page_token").refuse(q.token, "is not a token this API made; use next_page_token of the previous page")
		return c
	}
	if binary.BigEndian.Uint64(raw) != c.query {
		v.at("page_token").refuse(q.token, "belongs to another request; keep the filters while paging")
		return c
	}
	c.after = string(raw[8:])
	return c
}

func (c cursor) token(last string) string {
	raw := binary.BigEndian.AppendUint64(nil, c.query)
	return base64.RawURLEncoding.EncodeToString(append(raw, last...))
}

func hashOf(parts []string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

// pageOf is a page of entries that are answered as they are.
func pageOf[T proto.Message](c cursor, items []T, key func(T) string) (page []T, next string) {
	return pageAs(c, items, key, func(item T) T { return item })
}

// pageAs picks the entries that follow the cursor in the order of key, which
// is unique, and answers state of each. Entries that come or go between two pages move no other entry to
// another page: a page starts after a key, not at a number.
func pageAs[T any, S proto.Message](c cursor, items []T, key func(T) string, state func(T) S) (page []S, next string) {
	type entry struct {
		key  string
		item T
	}
	// The smallest size+1 entries, in order; the last one tells that there is more.
	best := make([]entry, 0, c.size+2)
	for _, item := range items {
		k := key(item)
		if c.after != "" && k <= c.after || len(best) > c.size && k >= best[c.size].key {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, k, func(e entry, k string) int { return strings.Compare(e.key, k) })
		best = slices.Insert(best, at, entry{k, item})
		if len(best) > c.size+1 {
			best = best[:c.size+1]
		}
	}
	if len(best) > c.size {
		best = best[:c.size]
		next = c.token(best[c.size-1].key)
	}
	var full pageLength
	for i, e := range best {
		s := state(e.item)
		if full.by(s) {
			return page, c.token(best[i-1].key)
		}
		page = append(page, s)
	}
	return page, next
}

// pageLength is how many bytes the entries of a page have.
type pageLength int

// by adds an entry; true when the page has no room for it. There is always room for one.
func (l *pageLength) by(entry proto.Message) bool {
	first := *l == 0
	*l += pageLength(proto.Size(entry))
	return !first && *l > pageBytes
}
