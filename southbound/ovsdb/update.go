package ovsdb

import (
	"encoding/json"
	"errors"
)

// updateFormat is one of the two ways in which changes of rows are written.
type updateFormat int

const (
	// formatUpdate: <row-update> of RFC 7047, 4.1.6, which every version of
	// ovsdb-server speaks: {"old": changed columns, "new": all columns}.
	formatUpdate updateFormat = iota
	// formatUpdate2: <row-update2> of ovsdb-server(7), since Open vSwitch 2.6: the
	// differences only, so that one port more on a bridge of a thousand is a
	// message of a hundred bytes.
	formatUpdate2
)

// change reads one row's update.
func (f updateFormat) change(raw json.RawMessage) (rowChange, error) {
	if f == formatUpdate {
		return readUpdate(raw)
	}
	return readUpdate2(raw)
}

func readUpdate(raw json.RawMessage) (rowChange, error) {
	var u struct {
		Old json.RawMessage `json:"old"`
		New rowText         `json:"new"`
	}
	if err := strict(raw, &u); err != nil {
		return rowChange{}, err
	}
	switch {
	case u.New != nil:
		return rowChange{kind: changeReplace, text: u.New}, nil
	case u.Old != nil:
		return rowChange{kind: changeDelete}, nil
	}
	return rowChange{}, errors.New("neither old nor new")
}

func readUpdate2(raw json.RawMessage) (rowChange, error) {
	var u map[string]json.RawMessage
	if err := strict(raw, &u); err != nil {
		return rowChange{}, err
	}
	if len(u) != 1 {
		return rowChange{}, errors.New("not exactly one of initial, insert, modify, delete")
	}
	for kind, body := range u {
		c := rowChange{}
		switch kind {
		case "initial", "insert":
			c.kind = changeReplace
		case "modify":
			c.kind = changeModify
		case "delete":
			return rowChange{kind: changeDelete}, nil
		default:
			return rowChange{}, errors.New("not one of initial, insert, modify, delete")
		}
		return c, strict(body, &c.text)
	}
	return rowChange{}, nil
}
