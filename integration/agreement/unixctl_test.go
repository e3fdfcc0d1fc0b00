package agreement

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"poolwire/southbound/openflow/openflowtest"
)

// unixctl is a connection to the control socket of ovs-vswitchd: JSON-RPC 1.0, one
// request after the other. ovs-appctl would be a process for each.
type unixctl struct {
	conn    net.Conn
	encoder *json.Encoder
	decoder *json.Decoder
	calls   int
}

type unixctlRequest struct {
	Method string   `json:"method"`
	Params []string `json:"params"`
	ID     int      `json:"id"`
}

type unixctlReply struct {
	Result string `json:"result"`
	Error  any    `json:"error"`
}

func dialControl(t testing.TB, v *openflowtest.Vswitch) *unixctl {
	t.Helper()
	sockets, err := filepath.Glob(filepath.Join(v.Dir(), "ovs-vswitchd.*.ctl"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("control sockets: %q, %v", sockets, err)
	}
	conn, err := net.Dial("unix", sockets[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &unixctl{conn: conn, encoder: json.NewEncoder(conn), decoder: json.NewDecoder(conn)}
}

// call runs one command.
func (u *unixctl) call(method string, params ...string) (string, error) {
	if err := u.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	u.calls++
	if err := u.encoder.Encode(unixctlRequest{method, append([]string{}, params...), u.calls}); err != nil {
		return "", err
	}
	var reply unixctlReply
	if err := u.decoder.Decode(&reply); err != nil {
		return "", err
	}
	if reply.Error != nil {
		return "", fmt.Errorf("%s %q: %v", method, params, reply.Error)
	}
	return reply.Result, nil
}
