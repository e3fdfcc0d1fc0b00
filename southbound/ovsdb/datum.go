package ovsdb

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Values on the wire (RFC 7047, 5.1) are decoded by the type the schema gives
// them. In between an atom of any type is its text, so that sets and maps of
// all types are handled by the same few functions.

// decodeAtom reads one atom and returns its text.
func decodeAtom(raw json.RawMessage, t atomType) (string, error) {
	switch t {
	case atomString:
		var s string
		err := strict(raw, &s)
		return s, err
	case atomInteger:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		return strconv.FormatInt(n, 10), err
	case atomBoolean:
		var b bool
		err := strict(raw, &b)
		return strconv.FormatBool(b), err
	case atomUUID:
		var pair []json.RawMessage
		if err := json.Unmarshal(raw, &pair); err != nil {
			return "", err
		}
		if len(pair) != 2 || string(pair[0]) != `"uuid"` {
			return "", fmt.Errorf("not a uuid")
		}
		var s string
		if err := strict(pair[1], &s); err != nil {
			return "", err
		}
		if !isUUID(s) {
			return "", fmt.Errorf("%.64q is not a uuid", s)
		}
		return s, nil
	}
	return "", fmt.Errorf("values of type %s are not read", t)
}

// strict is json.Unmarshal that does not take null for the zero value.
func strict(raw json.RawMessage, to any) error {
	if string(raw) == "null" {
		return fmt.Errorf("null is not a value")
	}
	return json.Unmarshal(raw, to)
}

// decodeSet reads a set, or the single atom that stands for one, sorted.
func decodeSet(raw json.RawMessage, t atomType) ([]string, error) {
	members, isSet, err := tagged(raw, "set")
	if err != nil {
		return nil, err
	}
	if !isSet {
		members = []json.RawMessage{raw}
	}
	if len(members) == 0 {
		return nil, nil
	}
	out := make([]string, 0, len(members))
	for _, m := range members {
		atom, err := decodeAtom(m, t)
		if err != nil {
			return nil, err
		}
		out = append(out, atom)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// decodeMap reads a map.
func decodeMap(raw json.RawMessage, t columnType) (map[string]string, error) {
	pairs, isMap, err := tagged(raw, "map")
	if err != nil {
		return nil, err
	}
	if !isMap {
		return nil, fmt.Errorf("not a map")
	}
	if len(pairs) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(pairs))
	for _, p := range pairs {
		var pair []json.RawMessage
		if err := json.Unmarshal(p, &pair); err != nil {
			return nil, err
		}
		if len(pair) != 2 {
			return nil, fmt.Errorf("a pair of %d elements", len(pair))
		}
		key, err := decodeAtom(pair[0], t.key)
		if err != nil {
			return nil, err
		}
		if out[key], err = decodeAtom(pair[1], t.value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tagged takes [tag, [members...]] apart; ok is false for any other value.
func tagged(raw json.RawMessage, tag string) (members []json.RawMessage, ok bool, err error) {
	if len(raw) == 0 || raw[0] != '[' {
		return nil, false, nil
	}
	var pair []json.RawMessage
	if err := json.Unmarshal(raw, &pair); err != nil {
		return nil, false, err
	}
	if len(pair) != 2 || string(pair[0]) != strconv.Quote(tag) {
		return nil, false, nil
	}
	err = strict(pair[1], &members)
	return members, err == nil, err
}

// xorSets applies an update2 difference to a set: a member that is in both goes,
// one that is new comes (ovsdb-server(7), "Update2 Notification"). Both are sorted.
func xorSets(old, diff []string) []string {
	var out []string
	for _, v := range old {
		if _, gone := slices.BinarySearch(diff, v); !gone {
			out = append(out, v)
		}
	}
	for _, v := range diff {
		if _, had := slices.BinarySearch(old, v); !had {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// patchMap applies an update2 difference to a map: a pair that is there goes, a
// key with another value changes, a new key comes.
func patchMap(old, diff map[string]string) map[string]string {
	out := make(map[string]string, len(old)+len(diff))
	for k, v := range old {
		out[k] = v
	}
	for k, v := range diff {
		if was, had := old[k]; had && was == v {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// isUUID reports whether s is a uuid as ovsdb-server writes them.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
