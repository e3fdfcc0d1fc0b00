package daemon

import (
	"strings"
	"sync/atomic"
)

// reloads remembers how reading files again went last.
type reloads struct{ certificates, secrets reload }

// reload is of one kind of files. The zero value is well.
type reload struct{ problem atomic.Pointer[string] }

func (r *reload) note(err error) {
	if err == nil {
		r.problem.Store(nil)
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	r.problem.Store(&text)
}

// failed is 1 or 0.
func (r *reload) failed() float64 {
	if r.problem.Load() != nil {
		return 1
	}
	return 0
}

// unreadFiles says which files cannot be used as they are. A restart would end there.
func (n *node) unreadFiles() (out []string) {
	if p := n.reloads.certificates.problem.Load(); p != nil {
		out = append(out, "the certificates in pki_dir cannot be read again, and those in use stay: "+*p)
	}
	if p := n.reloads.secrets.problem.Load(); p != nil {
		out = append(out, "the keys that seal secrets cannot be read again, and those known stay: "+*p)
	}
	return out
}
