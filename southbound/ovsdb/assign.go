package ovsdb

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// assign decodes a column's value into the field that at points to. With diff
// the value is a difference to what the field holds (update2 "modify", columns
// that may hold more than one atom). The field gets new memory: what it held may
// be shared with older snapshots.
func assign(field any, t columnType, raw json.RawMessage, diff bool) error {
	diff = diff && t.many
	if t.value != "" {
		m, err := decodeMap(raw, t)
		if err != nil {
			return err
		}
		return assignMap(field, m, diff)
	}
	set, err := decodeSet(raw, t.key)
	if err != nil {
		return err
	}
	switch f := field.(type) {
	case *[]string:
		if diff {
			set = xorSets(*f, set)
		}
		*f = set
		return nil
	case *[]int64:
		if diff {
			set = xorSets(texts(*f), set)
		}
		*f, err = integers(set)
		return err
	}
	return assignOne(field, set)
}

// assignOne sets a field that holds one atom at most.
func assignOne(field any, set []string) error {
	if len(set) > 1 {
		return fmt.Errorf("%d values where one is expected", len(set))
	}
	atom := ""
	if len(set) == 1 {
		atom = set[0]
	}
	switch f := field.(type) {
	case *string:
		*f = atom
	case *bool:
		*f = atom == "true"
	case *int64: // a column that is never empty, and left out while it is 0
		*f = 0
		if atom == "" {
			return nil
		}
		n, err := strconv.ParseInt(atom, 10, 64)
		if err != nil {
			return err
		}
		*f = n
	case *Optional:
		*f = Optional{}
		if atom == "" {
			return nil
		}
		n, err := strconv.ParseInt(atom, 10, 64)
		if err != nil {
			return err
		}
		*f = Optional{Value: n, Set: true}
	default:
		return fmt.Errorf("no column can be held by %T", field)
	}
	return nil
}

func assignMap(field any, m map[string]string, diff bool) error {
	switch f := field.(type) {
	case *map[string]string:
		if diff {
			m = patchMap(*f, m)
		}
		*f = m
		return nil
	case *map[int64]string:
		if diff {
			old := make(map[string]string, len(*f))
			for k, v := range *f {
				old[strconv.FormatInt(k, 10)] = v
			}
			m = patchMap(old, m)
		}
		*f = nil
		if len(m) > 0 {
			*f = make(map[int64]string, len(m))
		}
		for k, v := range m {
			n, err := strconv.ParseInt(k, 10, 64)
			if err != nil {
				return err
			}
			(*f)[n] = v
		}
		return nil
	}
	return fmt.Errorf("no map can be held by %T", field)
}

// keepKeys drops all other keys of a map field.
func keepKeys(field any, keep []string) {
	f, ok := field.(*map[string]string)
	if !ok || keep == nil {
		return
	}
	var out map[string]string
	for _, k := range keep {
		if v, had := (*f)[k]; had {
			if out == nil {
				out = make(map[string]string, len(keep))
			}
			out[k] = v
		}
	}
	*f = out
}

// zero empties a field.
func zero(field any) {
	switch f := field.(type) {
	case *string:
		*f = ""
	case *bool:
		*f = false
	case *int64:
		*f = 0
	case *Optional:
		*f = Optional{}
	case *[]string:
		*f = nil
	case *[]int64:
		*f = nil
	case *map[string]string:
		*f = nil
	case *map[int64]string:
		*f = nil
	}
}

// weight is roughly the memory of a field in bytes, for the bound on what a
// host may make us hold.
func weight(field any) int {
	const header = 16
	switch f := field.(type) {
	case *string:
		return header + len(*f)
	case *[]string:
		n := header
		for _, s := range *f {
			n += header + len(s)
		}
		return n
	case *[]int64:
		return header + 8*len(*f)
	case *map[string]string:
		n := header
		for k, v := range *f {
			n += 2*header + len(k) + len(v)
		}
		return n
	case *map[int64]string:
		n := header
		for _, v := range *f {
			n += 2*header + len(v)
		}
		return n
	}
	return header
}

func texts(in []int64) []string {
	out := make([]string, 0, len(in))
	for _, n := range in {
		out = append(out, strconv.FormatInt(n, 10))
	}
	slices.Sort(out)
	return out
}

func integers(in []string) ([]int64, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]int64, 0, len(in))
	for _, s := range in {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out, nil
}
