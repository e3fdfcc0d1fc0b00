package raftstore

import (
	"strconv"
	"unicode/utf8"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// maxRequests is how many request ids are remembered; the oldest goes first.
// It is part of the state machine's meaning: changing it is a new command.
const maxRequests = 10_000

// repeated looks a command's request id up. It returns the first outcome when
// the same command was done under that id.
func (t *tx) repeated(number uint32, id string) (Result, bool, error) {
	if id == "" {
		return Result{}, false, nil
	}
	if utf8.RuneCountInString(id) > maxRequestID {
		return Result{}, false, &InvalidError{Field: "request_id", Value: id, Reason: "must have at most 64 characters"}
	}
	r := get[*storev1.Request](&t.View, TableRequests, id)
	switch {
	case r == nil:
		return Result{}, false, nil
	case r.GetCommand() != number:
		return Result{}, false, &InvalidError{Field: "request_id", Value: id, Reason: "was used for another kind of request"}
	}
	res := Result{Revision: r.GetRevision(), UUIDs: r.GetUuids(), Pairs: r.GetPairs(), Duplicate: true}
	if number == numberPutRule && len(res.UUIDs) > 1 {
		res.UUIDs, res.Replaced = res.UUIDs[:1], res.UUIDs[1:]
	}
	if p := t.PendingChange(strconv.FormatUint(res.Revision, 10)); p != nil {
		res.Pending = p.GetId()
	}
	return res, true, nil
}

// numberPutRule is the command whose remembered UUIDs are the rule and then
// those it replaced.
const numberPutRule = 11

// Requested reports whether a request id is remembered: a command that has it does nothing.
func (v *View) Requested(id string) bool {
	return id != "" && get[*storev1.Request](v, TableRequests, id) != nil
}

// remember keeps the outcome of a command that carried a request id. It
// returns by how much the number of remembered requests grew.
func (t *tx) remember(number uint32, id string, res Result, have int) int {
	if id == "" {
		return 0
	}
	uuids := append(append([]string{}, res.UUIDs...), res.Replaced...)
	t.put(TableRequests, &storev1.Request{Id: id, Command: number, Revision: t.revision, Uuids: uuids, Pairs: res.Pairs})
	if have < maxRequests {
		return 1
	}
	oldest := t.first(resourceOf(TableRequests).name, indexRevision, "")
	t.del(TableRequests, oldest.key)
	return 0
}
