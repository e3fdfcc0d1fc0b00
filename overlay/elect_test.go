package overlay

import "testing"

func TestElect(t *testing.T) {
	t.Parallel()
	alive := func(host string, number uint32, rank int, ready bool) Candidate {
		return Candidate{Host: host, Number: number, Rank: rank, Alive: true, Ready: ready}
	}
	dead := func(host string, number uint32, rank int) Candidate {
		return Candidate{Host: host, Number: number, Rank: rank}
	}
	for _, tt := range []struct {
		name       string
		now        Relay
		candidates []Candidate
		want       Relay
	}{
		{"the first time, the lowest numbers", Relay{}, []Candidate{alive("c", 3, 0, false), alive("a", 1, 0, false), alive("b", 2, 0, false)}, Relay{Active: "a", Standby: "b"}},
		{"the first time, the preferred one", Relay{}, []Candidate{alive("a", 1, 0, false), alive("c", 3, 1, false)}, Relay{Active: "c", Standby: "a"}},
		{"an active one stays", Relay{Active: "b", Standby: "c"}, []Candidate{alive("a", 1, 0, true), alive("b", 2, 0, true), alive("c", 3, 0, true)}, Relay{Active: "b", Standby: "c"}},
		{"a dead one is followed by its stand-in", Relay{Active: "b", Standby: "c"}, []Candidate{alive("a", 1, 0, true), dead("b", 2, 0), alive("c", 3, 0, false)}, Relay{Active: "c", Standby: "a"}},
		{"a preferred one that returns stands by first", Relay{Active: "c", Standby: "b"}, []Candidate{alive("a", 1, 1, false), alive("b", 2, 0, true), alive("c", 3, 0, true)}, Relay{Active: "c", Standby: "a"}},
		{"and waits until it is ready", Relay{Active: "c", Standby: "a"}, []Candidate{alive("a", 1, 1, false), alive("b", 2, 0, true), alive("c", 3, 0, true)}, Relay{Active: "c", Standby: "a"}},
		{"and takes over then", Relay{Active: "c", Standby: "a"}, []Candidate{alive("a", 1, 1, true), alive("b", 2, 0, true), alive("c", 3, 0, true)}, Relay{Active: "a", Standby: "c"}},
		{"a member that leaves is none any more", Relay{Active: "x", Standby: "y"}, []Candidate{alive("a", 1, 0, true)}, Relay{Active: "a"}},
		{"when nobody is heard, nothing changes", Relay{Active: "b", Standby: "a"}, []Candidate{dead("a", 1, 0), dead("b", 2, 0)}, Relay{Active: "b", Standby: "a"}},
		{"one host alone", Relay{Site: "s"}, []Candidate{alive("a", 1, 0, false)}, Relay{Site: "s", Active: "a"}},
		{"no host", Relay{Active: "a"}, nil, Relay{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Elect(tt.now, tt.candidates)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if again := Elect(got, tt.candidates); again != got && tt.name != "and takes over then" {
				t.Errorf("a second look changes it to %+v", again)
			}
		})
	}
}
