package scenario

import (
	"context"
	"path/filepath"

	"poolwire/integration/monitoring"
)

// MonitoringAddress is where the first node serves metrics and checks, in the controller's namespace.
const MonitoringAddress = "127.0.0.1:9654"

// Monitoring reads a page of the first node's monitoring port, as its administrator.
func (s *System) Monitoring(ctx context.Context, path string) (code int, body string, err error) {
	r, err := monitoring.NewReader(filepath.Join(s.Dir, "pki"), s.Lab.Controller().Dial)
	if err != nil {
		return 0, "", err
	}
	return r.Get(ctx, MonitoringAddress, path)
}
