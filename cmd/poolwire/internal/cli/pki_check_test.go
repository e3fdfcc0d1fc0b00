package cli

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Everything that is wrong is named once, with what to do; what is right is not.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC)
	record := func(kind poolwirev1.CertificateKind, name, serial string, days int) *poolwirev1.Certificate {
		return &poolwirev1.Certificate{Kind: kind, Name: name, Serial: serial, Issuer: "ca", Sha256: "sum" + serial,
			IssueTime: timestamppb.New(now.Add(time.Duration(len(serial)) * time.Second)), NotAfter: timestamppb.New(now.AddDate(0, 0, days))}
	}
	const host, node, client = poolwirev1.CertificateKind_CERTIFICATE_KIND_HOST, poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE, poolwirev1.CertificateKind_CERTIFICATE_KIND_CLIENT
	gone := record(node, "n1", "01", 100)
	gone.RevokeTime = timestamppb.New(now)
	renewed := record(client, "alice", "0505", 700)
	renewed.RenewedFromIssuer, renewed.RenewedFromSerial = "ca", "05"
	old, latest := record(host, "u1", "03", 900), record(host, "u1", "0303", 1000)
	old.Label, latest.Label = "xcp1", "xcp1"
	records := []*poolwirev1.Certificate{
		gone, record(node, "n2", "02", 200), record(node, "n2", "0202", 300), old, latest,
		record(node, "n9", "09", 200), record(node, "n9", "0909", 300), record(host, "u9", "08", 300), record(client, "carol", "04", 10), record(client, "alice", "05", 20), renewed, record(client, "bob", "06", 700), record(client, "bob", "0606", 700),
	}
	nodes := []*poolwirev1.NodeStatus{
		{Node: &poolwirev1.Node{Id: "n1"}, CertificateIssuer: "ca", CertificateSerial: "01"},
		{Node: &poolwirev1.Node{Id: "n2"}, CertificateIssuer: "ca", CertificateSerial: "0202"},
		{Node: &poolwirev1.Node{Id: "n3"}, CertificateIssuer: "ca", CertificateSerial: "07"}, {Node: &poolwirev1.Node{Id: "silent"}},
	}
	hosts := []*poolwirev1.Host{
		{Uuid: "u1", NameLabel: "xcp1", Status: &poolwirev1.HostStatus{Certificate: &poolwirev1.PresentedCertificate{Sha256: "sum03", Issuer: "ca"}}},
		{NameLabel: "odd", Status: &poolwirev1.HostStatus{Certificate: &poolwirev1.PresentedCertificate{Sha256: "y", Issuer: "ca"}}},
		{NameLabel: "own", Status: &poolwirev1.HostStatus{Certificate: &poolwirev1.PresentedCertificate{Sha256: "x"}}},
	}
	var got []string
	for _, f := range newExamination(now).all(records, nodes, hosts, &poolwirev1.CaRotation{Anchors: make([]*poolwirev1.TrustAnchor, 2)}) {
		got = append(got, f.Whose+" | "+f.Finding+" | "+f.Next)
	}
	want := []string{
		"node n1 | presents a certificate that was revoked: the others refuse it | poolwire pki issue node n1",
		"node n3 | presents a certificate that is not on record: 07",
		"host xcp1 | presents another certificate than its latest, 0303 | put that on the host",
		"host odd | presents a certificate that is not on record | poolwire pki export-host odd --dir DIR",
		"node n2 | has another certificate; this one is good until " + momentOf(now.AddDate(0, 0, 200)) + " | poolwire pki revoke --only-these 02",
		"node n9 | is no member of the cluster, and has a certificate that is good until " + momentOf(now.AddDate(0, 0, 300)) + " | poolwire pki revoke --kind node --name n9, unless it is to join",
		"host u9 | is not registered, and has a certificate that is good until " + momentOf(now.AddDate(0, 0, 300)) + " | poolwire pki revoke --kind host --name u9",
		"client carol | ends in 10 days | the client runs: poolwire pki renew",
		"client alice | has another certificate; this one is good until " + momentOf(now.AddDate(0, 0, 20)) + " | poolwire pki revoke --only-these 05",
		"the CA | is being rotated | poolwire pki rotate status",
	}
	if len(got) != len(want) {
		t.Fatalf("%d findings, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

// A certificate of a CA that is gone is good for nothing: it supersedes none, and who has only such ones is told to get another one.
// What presents one is named. Nobody misses the certificates of hosts that are gone, nor those of former members.
func TestCheckKnowsWhoseCAIsGone(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC)
	const host, node, client = poolwirev1.CertificateKind_CERTIFICATE_KIND_HOST, poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE, poolwirev1.CertificateKind_CERTIFICATE_KIND_CLIENT
	record := func(kind poolwirev1.CertificateKind, name, issuer, serial string, spoil func(*poolwirev1.Certificate)) *poolwirev1.Certificate {
		c := &poolwirev1.Certificate{Kind: kind, Name: name, Serial: serial, Issuer: issuer, Sha256: "sum" + serial, Trust: poolwirev1.CertificateTrust_CERTIFICATE_TRUST_TRUSTED,
			IssueTime: timestamppb.New(now.Add(time.Duration(len(serial)) * time.Second)), NotAfter: timestamppb.New(now.AddDate(0, 0, 700))}
		if issuer == "gone" {
			c.Trust = poolwirev1.CertificateTrust_CERTIFICATE_TRUST_GONE
		}
		if spoil != nil {
			spoil(c)
		}
		return c
	}
	fromOld := func(c *poolwirev1.Certificate) {
		c.RenewedFromIssuer, c.RenewedFromSerial, c.Role = "ca", "01", "read-only"
	}
	revoked := func(c *poolwirev1.Certificate) { c.RevokeTime = timestamppb.New(now) }
	soon := func(c *poolwirev1.Certificate) { c.NotAfter = timestamppb.New(now.AddDate(0, 0, 3)) }
	over := func(c *poolwirev1.Certificate) { c.NotAfter = timestamppb.New(now.AddDate(0, 0, -3)) }
	records := []*poolwirev1.Certificate{
		record(client, "vic", "ca", "01", nil), record(client, "vic", "gone", "0101", fromOld), // an aborted rotation
		record(client, "alice", "gone", "02", soon), record(host, "u1", "gone", "03", func(c *poolwirev1.Certificate) { c.Label = "xcp1" }),
		record(client, "ops", "gone", "04", nil), record(client, "ops", "ca", "0404", nil),
		record(client, "eve", "gone", "05", revoked), record(client, "old", "gone", "06", over),
		record(host, "u9", "gone", "07", nil), record(node, "n9", "gone", "08", nil), record(node, "n2", "gone", "09", nil),
	}
	nodes := []*poolwirev1.NodeStatus{{Node: &poolwirev1.Node{Id: "n2"}, CertificateIssuer: "gone", CertificateSerial: "09"}}
	hosts := []*poolwirev1.Host{{Uuid: "u1", NameLabel: "xcp1"}}
	var got []string
	for _, f := range newExamination(now).all(records, nodes, hosts, nil) {
		got = append(got, f.Whose+" | "+f.Finding+" | "+f.Next)
	}
	want := []string{
		"node n2 | presents a certificate of a CA that is gone: the others refuse it | poolwire pki issue node n2 --address ADDRESS --dir DIR, the files into its pki_dir",
		"client vic | has as its latest a certificate of a CA that is gone; an earlier one is good: 01 | " +
			"poolwire pki issue client vic --role read-only --dir DIR; or, if it has the earlier one: poolwire pki revoke --only-these 0101",
		"client alice | has only certificates of a CA that is gone | poolwire pki issue client alice --role none --dir DIR",
		"host xcp1 | has only certificates of a CA that is gone | poolwire pki export-host xcp1 --dir DIR",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	states := map[string]string{"01": "good", "0101": "of a CA that is gone", "02": "of a CA that is gone", "06": "expired", "05": "revoked " + momentOf(now) + " by "}
	for _, c := range records {
		if state, asked := states[c.GetSerial()]; asked && certificateState(c, now) != state {
			t.Errorf("%s is %q, want %q", c.GetSerial(), certificateState(c, now), state)
		}
	}
}
