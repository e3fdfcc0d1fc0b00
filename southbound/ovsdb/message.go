package ovsdb

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Methods and operations of RFC 7047 and ovsdb-server(7) that are used here.
const (
	methodGetSchema   = "get_schema"
	methodMonitor     = "monitor"
	methodMonitorCond = "monitor_cond"
	methodTransact    = "transact"
	methodEcho        = "echo"
	methodUpdate      = "update"
	methodUpdate2     = "update2"
	methodCanceled    = "monitor_canceled"

	opWait = "wait"
)

const (
	// monitorID names our one monitor, and echoID our echo requests.
	monitorID = "poolwire"
	echoID    = "poolwire-echo"
)

// message is a JSON-RPC 1.0 message, request or response.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method *string         `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

type request struct {
	Method string `json:"method"`
	Params any    `json:"params"`
	ID     any    `json:"id"`
}

type response struct {
	Result any             `json:"result"`
	Error  any             `json:"error"`
	ID     json.RawMessage `json:"id"`
}

// inbound is a message that a server may send: exactly one field is set.
type inbound struct {
	reply *reply
	// echoReply is the answer to our echo.
	echoReply bool
	echo      *echo
	update    *update
}

type reply struct {
	id            uint64
	result, error json.RawMessage
}

type echo struct{ id, params json.RawMessage }

type update struct {
	format updateFormat
	tables json.RawMessage
	// id is set when the server wants its notification acknowledged, as
	// libovsdb's does; ovsdb-server sends null.
	id json.RawMessage
}

// parseMessage admits what a server may send and nothing else.
func parseMessage(text []byte) (inbound, error) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return inbound{}, violation("%v in %.100q", err, text)
	}
	if m.Method == nil {
		return parseReply(m, text)
	}
	switch *m.Method {
	case methodEcho:
		if isNull(m.ID) {
			return inbound{}, violation("echo without an id")
		}
		return inbound{echo: &echo{id: m.ID, params: m.Params}}, nil
	case methodUpdate:
		return parseUpdate(m, formatUpdate)
	case methodUpdate2:
		return parseUpdate(m, formatUpdate2)
	case methodCanceled:
		return inbound{}, violation("monitor canceled by the server: %.100q", m.Params)
	}
	return inbound{}, violation("method %.64q is not for a server to call", *m.Method)
}

func parseReply(m message, text []byte) (inbound, error) {
	if string(m.ID) == strconv.Quote(echoID) {
		return inbound{echoReply: true}, nil
	}
	id, err := strconv.ParseUint(string(m.ID), 10, 64)
	if err != nil {
		return inbound{}, violation("neither a request nor a reply to one of ours: %.100q", text)
	}
	return inbound{reply: &reply{id: id, result: m.Result, error: m.Error}}, nil
}

func parseUpdate(m message, format updateFormat) (inbound, error) {
	var params []json.RawMessage
	if err := json.Unmarshal(m.Params, &params); err != nil || len(params) != 2 {
		return inbound{}, violation("%s with parameters %.100q", *m.Method, m.Params)
	}
	if string(params[0]) != strconv.Quote(monitorID) {
		return inbound{}, violation("%s for monitor %.64q, which is not ours", *m.Method, params[0])
	}
	u := &update{format: format, tables: params[1]}
	if !isNull(m.ID) {
		u.id = m.ID
	}
	return inbound{update: u}, nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || bytes.Equal(raw, []byte("null")) }

// errorText renders a JSON-RPC error: a string, or any JSON, bounded.
func errorText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(raw)
	}
	const longest = 500
	if len(s) > longest {
		s = s[:longest] + "..."
	}
	return s
}
