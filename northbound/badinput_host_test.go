package northbound

import (
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "poolwire/proto/poolwire/v1"
)

// badHosts are hosts that could not be reached, or told from others.
func badHosts(f *fixture) []badInput {
	invalid := codes.InvalidArgument
	host := func(spoil func(*v1.Host)) func() error {
		return func() error { _, err := f.CreateHost(f.ctx, passiveHost(spoil)); return err }
	}
	return []badInput{
		{"unknown host", func() error { _, err := f.GetHost(f.ctx, &v1.GetHostRequest{Host: "xcp7"}); return err },
			refusal{codes.NotFound, "host", []string{`"xcp7"`, "known: xcp1, xcp2, xcp3"}}, false},
		{"host of unknown pool", host(func(h *v1.Host) { h.PoolUuid = id('a', 99) }), refusal{invalid, "host.pool_uuid", []string{id('a', 99), paris + " (paris)"}}, false},
		{"host without pool", host(func(h *v1.Host) { h.PoolUuid = "" }), refusal{invalid, "host.pool_uuid", []string{"required"}}, false},
		{"passive host without address", host(func(h *v1.Host) { h.Address = "" }), refusal{invalid, "host.address", []string{"the controller connects to the host", "192.0.2.11"}}, false},
		{"host by name", host(func(h *v1.Host) { h.Address = "xcp9.example:6640" }), refusal{invalid, "host.address", []string{`"xcp9.example:6640"`, "ssl:IP[:PORT]"}}, false},
		{"host port", host(func(h *v1.Host) { h.Address = "192.0.2.19:99999" }), refusal{invalid, "host.address", []string{`"192.0.2.19:99999"`}}, false},
		{"tcp target", host(func(h *v1.Host) { h.Address = "tcp:192.0.2.19:6640" }), refusal{invalid, "host.address", []string{"ssl:IP[:PORT]"}}, false},
		{"active host with address", host(func(h *v1.Host) { h.Mode = v1.ConnectionMode_CONNECTION_MODE_ACTIVE }),
			refusal{invalid, "host.address", []string{"192.0.2.19", "the host connects to the controller"}}, false},
		{"active host without system-id", host(func(h *v1.Host) { h.Mode = v1.ConnectionMode_CONNECTION_MODE_ACTIVE }), refusal{invalid, "host.system_id", []string{"system-id"}}, false},
		{"pinned without certificate", host(func(h *v1.Host) { h.Trust = v1.TrustMode_TRUST_MODE_PINNED }), refusal{invalid, "host.certificate_sha256", []string{"64 hexadecimal digits"}}, false},
		{"short fingerprint", host(func(h *v1.Host) { h.CertificateSha256 = "ab:cd" }), refusal{invalid, "host.certificate_sha256", []string{`"ab:cd"`, "64"}}, false},
		{"transport address", host(func(h *v1.Host) { h.TransportAddress = "0.0.0.0" }), refusal{invalid, "host.transport_address", []string{`"0.0.0.0"`}}, false},
		{"mode", host(func(h *v1.Host) { h.Mode = 0 }), refusal{invalid, "host.mode", []string{"PASSIVE, ACTIVE"}}, false},
		{"system-id in use", host(func(h *v1.Host) { h.SystemId = "sys-xcp1" }), refusal{codes.AlreadyExists, "host.system_id", []string{`"sys-xcp1"`, `"xcp1"`}}, true},
	}
}

// badPools are pools with bad names or times, and one that has hosts to be deleted.
func badPools(f *fixture) []badInput {
	invalid := codes.InvalidArgument
	pool := func(p *v1.Pool) func() error {
		return func() error { _, err := f.CreatePool(f.ctx, &v1.CreatePoolRequest{Pool: p}); return err }
	}
	return []badInput{
		{"pool without name", pool(&v1.Pool{}), refusal{invalid, "pool.name_label", []string{"1 to 128"}}, false},
		{"no pool", pool(nil), refusal{invalid, "pool", []string{"required"}}, false},
		{"long name", pool(&v1.Pool{NameLabel: strings.Repeat("é", 129)}), refusal{invalid, "pool.name_label", []string{"129", "128"}}, false},
		{"name like a UUID", pool(&v1.Pool{NameLabel: id('a', 5)}), refusal{invalid, "pool.name_label", []string{"UUID"}}, false},
		{"name with newline", pool(&v1.Pool{NameLabel: "a\nb"}), refusal{invalid, "pool.name_label", []string{`"a\nb"`}}, false},
		{"pool uuid", pool(&v1.Pool{Uuid: "1234", NameLabel: "x"}), refusal{invalid, "pool.uuid", []string{`"1234"`, "must be a UUID like"}}, false},
		{"grace", pool(&v1.Pool{NameLabel: "x", ControllerGrace: durationpb.New(time.Second)}), refusal{invalid, "pool.controller_grace", []string{"1s", "3s to 24h"}}, false},
		{"fail mode", pool(&v1.Pool{NameLabel: "x", FailMode: 7}), refusal{invalid, "pool.fail_mode", []string{"7", "STANDALONE, SECURE"}}, false},
		{"pool name in use", pool(&v1.Pool{NameLabel: "paris"}), refusal{codes.AlreadyExists, "pool.name_label", []string{`"paris"`, paris}}, true},
		{"pool with hosts", func() error { _, err := f.DeletePool(f.ctx, &v1.DeletePoolRequest{Pool: "paris"}); return err },
			refusal{codes.FailedPrecondition, "", []string{"2 hosts belong to it"}}, true},
	}
}
