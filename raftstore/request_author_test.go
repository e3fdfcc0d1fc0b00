package raftstore

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// asked is a command as somebody asks for it.
func asked(c *storev1.Command, author, id, content string) *storev1.Command {
	c = proto.CloneOf(c)
	Asked{Author: author, RequestID: id, Content: []byte(content)}.Sign(c)
	c.Meaning = meaningNow
	return c
}

func rename(name string) *storev1.Command {
	return putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: name}, false)
}

// The request ids of one author mean nothing to another, whatever the two are.
func TestRequestIDsAreTheirAuthors(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	first := m.must(asked(rename("of shop"), "shop", "deploy-42", "a"))
	if r := m.must(asked(rename("of ops"), "ops", "deploy-42", "b")); r.Duplicate || m.view().Pool("p1").GetNameLabel() != "of ops" {
		t.Errorf("the request of another author: %+v", r)
	}
	if r := m.must(asked(createPool("p2"), "admin", "deploy-42", "c")); r.Duplicate {
		t.Errorf("that of a third: %+v", r)
	}
	// No name and id read together as another pair do.
	m.must(asked(rename("x"), "a", "b\x00\x01c", ""))
	if r := m.must(asked(rename("y"), "a\x00\x01b", "c", "")); r.Duplicate {
		t.Errorf("%+v", r)
	}
	for name, m := range map[string]*machine{"restored": m.restored(), "running": m} {
		if r := m.must(asked(rename("again"), "shop", "deploy-42", "a")); !r.Duplicate || r.Revision != first.Revision {
			t.Errorf("%s: repeated: %+v", name, r)
		}
		checkRefusals(t, m, []refusal{{"something else", asked(rename("else"), "shop", "deploy-42", "z"),
			&InvalidError{Field: "request_id", Value: "deploy-42", Reason: "was used for a request that asked for something else: use another id"}}})
		if v := m.view(); !v.Requested(Asked{Author: "shop", RequestID: "deploy-42"}) || v.Requested(Asked{Author: "nobody", RequestID: "deploy-42"}) {
			t.Errorf("%s: whose request is remembered", name)
		}
	}
}

// Who uses very many ids pushes out his own ones, and the count by author is that of the state.
func TestRequestsOfOthersStay(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	for i := range 5 {
		m.must(asked(rename("x"), "shop", fmt.Sprint("s", i), ""))
	}
	for i := range maxRequests + 10 {
		m.must(asked(rename("x"), "flood", fmt.Sprint("f", i), ""))
	}
	m.must(asked(rename("x"), "shop", "s5", ""))
	restored := m.restored()
	if !reflect.DeepEqual(m.f.requests, restored.f.requests) || m.f.requests.total != maxRequests || m.f.requests.of["shop"] != 6 {
		t.Errorf("counted %d of %d, restored %d", m.f.requests.of["shop"], m.f.requests.total, restored.f.requests.total)
	}
	for i := range 6 {
		if r := m.must(asked(rename("x"), "shop", fmt.Sprint("s", i), "")); !r.Duplicate {
			t.Errorf("request %d was pushed out by another author's", i)
		}
	}
	if r := m.must(asked(rename("x"), "flood", "f16", "")); !r.Duplicate {
		t.Error("more was forgotten than had to be")
	}
	if r := m.must(asked(rename("x"), "flood", "f15", "")); r.Duplicate {
		t.Error("the oldest of the one with the most is still there")
	}
}

// What was asked for before authors counted is applied as it was then, and neither swallows what is asked for since nor
// is done again.
func TestRequestsOfEarlierMeaning(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	old := func(c *storev1.Command, author string) *storev1.Command {
		c = asked(c, author, "q", author)
		c.Meaning = meaningPlanned
		return c
	}
	first := m.must(old(rename("x"), "shop"))
	if r := m.must(old(rename("y"), "ops")); !r.Duplicate || r.Revision != first.Revision {
		t.Errorf("as the earlier version has it: %+v", r)
	}
	for name, m := range map[string]*machine{"restored": m.restored(), "running": m} {
		var invalid *InvalidError
		if _, err := m.apply(asked(rename("y"), "ops", "q", "ops")); !errors.As(err, &invalid) || invalid.Field != "request_id" || !strings.Contains(invalid.Reason, "before the nodes were upgraded") {
			t.Errorf("%s: %v", name, err)
		}
		if r := m.must(asked(&storev1.Command{Body: &storev1.Command_DeletePool{DeletePool: &storev1.Delete{Uuid: "p1"}}}, "ops", "q", "ops")); r.Duplicate {
			t.Errorf("%s: another kind of request: %+v", name, r)
		}
		r := m.view().requested("", "q")
		if want := (&storev1.Request{Id: "q", Command: 2, Revision: first.Revision, Uuids: []string{"p1"}}); !proto.Equal(r, want) {
			t.Errorf("%s: remembered %v, the earlier version has %v", name, r, want)
		}
	}
}
