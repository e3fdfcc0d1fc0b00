package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Operation is one operation of a transaction (RFC 7047, 5.2).
type Operation = libovsdb.Operation

// OperationResult is the outcome of one operation: Count and UUID. Rows are not
// decoded, because no operation made here selects any.
type OperationResult = libovsdb.OperationResult

// Transact carries out all operations or none. When it returns without error
// the results are in the order of the operations and the snapshot shows them.
//
// A *TransactError names the operation that failed, and then nothing was done.
// It is [ErrFenced] when that was a guard. [ErrUnknownOutcome] says that no
// answer came in time or the session ended meanwhile. No operations, no message.
func (s *Session) Transact(ctx context.Context, ops []Operation) ([]OperationResult, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	params := make([]any, 0, len(ops)+1)
	params = append(params, database)
	for _, op := range ops {
		params = append(params, op)
	}
	raw, err := s.call(ctx, methodTransact, params, nil)
	var refused *RPCError
	switch {
	case errors.As(err, &refused):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	results, err := readResults(raw, ops)
	var hostile *ProtocolError
	if errors.As(err, &hostile) {
		s.shutdown(hostile)
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return results, err
}

// result is an <operation-result>, an error or null (RFC 7047, 4.1.3).
type result struct {
	Count   int             `json:"count"`
	UUID    json.RawMessage `json:"uuid"`
	Error   *string         `json:"error"`
	Details string          `json:"details"`
}

// readResults checks the answer to a transact request. Operations after a failed
// one have null results; one element more than operations is a failed commit.
func readResults(raw json.RawMessage, ops []Operation) ([]OperationResult, error) {
	var in []*result
	if err := strict(raw, &in); err != nil {
		return nil, violation("answer to transact: %v", err)
	}
	for i, r := range in {
		if r == nil || r.Error == nil {
			continue
		}
		failed := &TransactError{Index: i, Code: *r.Error, Details: r.Details}
		if i < len(ops) {
			failed.Operation = ops[i]
		}
		return nil, failed
	}
	if len(in) != len(ops) {
		return nil, violation("%d results for %d operations", len(in), len(ops))
	}
	out := make([]OperationResult, len(in))
	for i, r := range in {
		if r == nil {
			return nil, violation("no result for operation %d", i)
		}
		out[i].Count = r.Count
		// Only an insert has one; libovsdb's server answers with an empty one elsewhere.
		if ops[i].Op == libovsdb.OperationInsert && len(r.UUID) > 0 {
			uuid, err := decodeAtom(r.UUID, atomUUID)
			if err != nil {
				return nil, violation("result of operation %d: %v", i, err)
			}
			out[i].UUID = libovsdb.UUID{GoUUID: uuid}
		}
	}
	return out, nil
}
