package northbound

import (
	"fmt"
	"time"

	"poolwire/raftstore"
)

// auditShort is how far back the audit reaches at least, unless somebody floods it: no less is ever asked for.
const auditShort = 24 * time.Hour

// auditWarnings says that records are dropped long before their time.
func auditWarnings(v *raftstore.View, now time.Time) []string {
	ends := v.AuditEnds()
	oldest := v.AuditEntry(ends.Anchor + 1)
	if ends.Anchor == 0 || oldest == nil {
		return nil
	}
	back := now.Sub(time.Unix(oldest.GetSeconds(), 0)).Truncate(time.Minute)
	if back >= auditShort {
		return nil
	}
	return []string{fmt.Sprintf("the audit reaches back %s only: more was recorded since than is kept, %d records (poolwire audit list; poolwire cluster set --audit-keep-entries)",
		back, ends.Head-ends.Anchor)}
}
