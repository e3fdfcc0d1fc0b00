package chaos

import (
	"fmt"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// action is what a client does to a register: the name_description of a pool. Values are
// never written twice, so that a value stands for the etag it came with.
type action int

const (
	actRead action = iota
	actWrite
	// actSwap writes if the register still holds what was read before.
	actSwap
)

// outcome is what a client was told.
type outcome int

const (
	told outcome = iota
	// refused is a swap that found another value.
	refused
	// unknown is a call that ended without an answer. It may take effect at any time after it
	// was made.
	unknown
)

// operation is one call, as its client saw it. Times are since the beginning.
type operation struct {
	worker   int
	key      string
	action   action
	expected string // of a swap
	value    string // written, or read
	outcome  outcome
	revision uint64 // of an acknowledged write
	call     time.Duration
	end      time.Duration
}

// history is what all clients saw. The zero value is empty.
type history struct {
	mu  sync.Mutex
	ops []operation
}

func (h *history) add(op operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// seen says when a watch first showed a value in a register.
type seen map[string]map[string]time.Duration

// checkPatience bounds the check of one register.
const checkPatience = time.Minute

// linearizable checks each register by itself, and describes those that fail.
//
// A call with an unknown outcome that a watch has shown was done by then. One whose value no
// watch and no read has shown has changed nothing that could be told, and is left out: it
// could always be placed behind everything else. Only a refused swap might be excused by it;
// but the watches are checked to show every revision.
func (h *history) linearizable(shown seen) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	read := map[string]map[string]bool{}
	byKey := map[string][]operation{}
	for _, op := range h.ops {
		if op.action == actRead && op.outcome == told {
			if read[op.key] == nil {
				read[op.key] = map[string]bool{}
			}
			read[op.key][op.value] = true
		}
		byKey[op.key] = append(byKey[op.key], op)
	}
	var bad []string
	for key, ops := range byKey {
		var calls []porcupine.Operation
		for _, op := range ops {
			if op.outcome == unknown {
				at, was := shown[key][op.value]
				switch {
				case op.action == actRead, !was && !read[key][op.value]:
					continue
				case was:
					op.end = max(at, op.call)
				default:
					op.end = forever
				}
			}
			calls = append(calls, porcupine.Operation{ClientId: op.worker, Input: op, Output: op.outcome, Call: int64(op.call), Return: int64(op.end)})
		}
		switch porcupine.CheckOperationsTimeout(register(), calls, checkPatience) {
		case porcupine.Illegal:
			bad = append(bad, fmt.Sprintf("register %s: %d calls are not linearizable", key, len(calls)))
		case porcupine.Unknown:
			bad = append(bad, fmt.Sprintf("register %s: %d calls could not be checked in %v", key, len(calls), checkPatience))
		}
	}
	return bad
}

const forever = 1<<62 - 1

// register is the model: a value, "" at first.
func register() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			op, answer := input.(operation), output.(outcome)
			switch {
			case op.action == actRead:
				return op.value == state, state
			case op.action == actWrite:
				return true, op.value
			case answer == refused:
				return state != op.expected, state
			case state == op.expected:
				return true, op.value
			}
			// The swap does not find what it expects: an answer would have said so.
			return answer == unknown, state
		},
	}
}
