package flow

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// prepareForeign gives the bridge what the flows in testdata refer to.
func (s *vswitch) prepareForeign() {
	s.t.Helper()
	s.run("ovs-ofctl", "-O", "OpenFlow13", "add-group", s.management(), "group_id=5,type=all,bucket=output:1")
	s.run("ovs-ofctl", "-O", "OpenFlow13", "add-meter", s.management(), "meter=5,kbps,bands=type=drop,rate=1000")
	s.run("ovs-ofctl", "-O", "OpenFlow13", "add-meter", s.management(), "meter=3,kbps,bands=type=drop,rate=1000")
	s.run("ovs-ofctl", "add-tlv-map", s.management(),
		"{class=0xffff,type=0,len=4}->tun_metadata0,{class=0xffff,type=1,len=12}->tun_metadata5")
}

// TestTextEqualsOvsOfctl adds flows of every kind with ovs-ofctl and demands
// that what this package prints is what ovs-ofctl prints, line by line.
func TestTextEqualsOvsOfctl(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"testdata/matches.flows", "testdata/actions.flows"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			flows, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := startVswitch(t)
			s.prepareForeign()
			s.addFlows(string(flows))

			stats, _ := s.dial().dump()
			if want := strings.Count(string(flows), "\n"); len(stats) < want-10 {
				t.Fatalf("the switch has %d flows, %d were added", len(stats), want)
			}
			var plain, full []string
			for _, f := range stats {
				plain = append(plain, " "+f.Flow.String())
				full = append(full, " "+withoutDuration(f.String()))
			}
			slices.Sort(plain)
			slices.Sort(full)
			if diff := cmp.Diff(s.dumpText("--no-stats"), plain); diff != "" {
				t.Errorf("without statistics (-ovs-ofctl +flow):\n%s", diff)
			}
			var want []string
			for _, line := range s.dumpText() {
				want = append(want, withoutDuration(line))
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, full); diff != "" {
				t.Errorf("with statistics (-ovs-ofctl +flow):\n%s", diff)
			}
		})
	}
}

func withoutDuration(line string) string {
	return regexp.MustCompile(`duration=[0-9.]+s`).ReplaceAllString(line, "duration=Ds")
}

func TestDurationText(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0s":           0,
		"12s":          12 * time.Second,
		"1.500s":       1500 * time.Millisecond,
		"1.000000001s": time.Second + time.Nanosecond,
		"0.064s":       64 * time.Millisecond,
	} {
		var p printer
		p.duration(d)
		if got := string(p.b); got != want {
			t.Errorf("%d prints %q, want %q", d, got, want)
		}
	}
}
