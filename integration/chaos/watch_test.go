package chaos

import (
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// shows is a message about one pool.
func shows(revision uint64, value string) *poolwirev1.WatchResponse {
	return &poolwirev1.WatchResponse{Revision: revision, Changes: []*poolwirev1.Change{{
		Kind: poolwirev1.ChangeKind_CHANGE_KIND_PUT, Resource: &poolwirev1.Change_Pool{Pool: &poolwirev1.Pool{Uuid: "k", NameDescription: value}},
	}}}
}

// A watch that repeats, misses or makes up a revision, or writes twice, is found out.
func TestWatchIsChecked(t *testing.T) {
	t.Parallel()
	acknowledged := []operation{
		{key: "k", action: actWrite, value: "a", revision: 5}, {key: "k", action: actWrite, value: "b", revision: 6},
	}
	for name, c := range map[string]struct {
		shown []*poolwirev1.WatchResponse
		last  string
		want  string // in the violation; "" for none
	}{
		"all of it":        {[]*poolwirev1.WatchResponse{shows(5, "a"), shows(6, "b"), {Revision: 9}}, "b", ""},
		"a gap":            {[]*poolwirev1.WatchResponse{shows(6, "b")}, "b", "acknowledged to write"},
		"a repeat":         {[]*poolwirev1.WatchResponse{shows(5, "a"), shows(5, "a"), shows(6, "b")}, "b", "revision 5 after 5"},
		"another value":    {[]*poolwirev1.WatchResponse{shows(5, "x"), shows(6, "b")}, "b", "acknowledged to write"},
		"written twice":    {[]*poolwirev1.WatchResponse{shows(5, "a"), shows(6, "b"), shows(7, "a")}, "a", "a second time"},
		"more than listed": {[]*poolwirev1.WatchResponse{shows(5, "a"), shows(6, "b"), shows(8, "c")}, "b", ""},
		"another outcome":  {[]*poolwirev1.WatchResponse{shows(5, "a"), shows(6, "b")}, "c", "listed is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReport()
			w := &watcher{name: "1", now: (&workload{}).now, report: r, reached: 4, from: 4, listed: map[string]*poolwirev1.Pool{}}
			for _, m := range c.shown {
				if err := w.take(m); err != nil {
					t.Fatal(err)
				}
			}
			w.check(acknowledged, map[string]*poolwirev1.Pool{"k": {Uuid: "k", NameDescription: c.last}}, 7)
			if found := strings.Join(r.violations, "\n"); c.want == "" && found != "" || !strings.Contains(found, c.want) {
				t.Errorf("found %q", found)
			}
		})
	}
}
