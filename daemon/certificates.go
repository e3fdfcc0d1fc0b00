package daemon

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// certificateCheck is how often certificates are looked at: for renewal, and for files that were
// replaced. They live long; but one that was made while the clock was wrong keeps the node apart
// until it is replaced.
const certificateCheck = time.Minute

// renewalTimeout bounds a request to another node for a certificate.
const renewalTimeout = 20 * time.Second

// warnBefore is how long before its end a certificate is warned of, once a day.
const warnBefore = 30 * 24 * time.Hour

// certificates keeps this node's certificates good.
type certificates struct {
	*node
	// warned is when something was last warned of, by the name of a certificate or of what is wrong.
	warned map[string]time.Time
	// unrecorded is how often in a row the certificates could not be recorded.
	unrecorded int
}

// renewCertificates looks at the certificates from time to time, and when the daemon gets SIGHUP.
func (n *node) renewCertificates(ctx context.Context) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	defer signal.Stop(asked)
	tick := time.NewTicker(certificateCheck)
	defer tick.Stop()
	// Until it is on record, so that it can be revoked, a look is cheap.
	soon := time.NewTicker(time.Second)
	defer soon.Stop()
	c := &certificates{node: n, warned: map[string]time.Time{}}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.check(ctx)
		case <-asked:
			n.log.Info("SIGHUP: reading the certificates again")
			c.check(ctx)
		case <-n.trustChanged:
			c.check(ctx)
		case <-soon.C:
			if n.led() && c.record(ctx) == nil {
				soon.Stop()
			}
		}
	}
}

// check renews what is due, takes replaced files into use and records what is new.
func (c *certificates) check(ctx context.Context) {
	if anchors, _ := c.store.View().TrustAnchors(); len(anchors) > 0 {
		if err := c.setAnchors(anchors); err != nil {
			c.log.Warn("the CAs of the cluster are not taken over yet", "error", err)
		}
	}
	renewed, err := c.authority.Renew()
	c.reloads.certificates.note(err)
	if err != nil {
		c.log.Error("certificates could not be read again or renewed; those in use stay", "pki_dir", c.cfg.PKIDir, "error", err)
	}
	for _, name := range renewed {
		c.log.Info("certificate renewed", "certificate", name)
	}
	if err := c.renewElsewhere(ctx); err != nil {
		c.log.Warn("this node's certificate could not be renewed by another node; the next attempt is in a minute", "error", err)
	}
	c.noteRecord(c.record(ctx))
	c.noteRefused(time.Now())
	c.warn(time.Now())
	c.endUnusable() // what has ended since
}

// unrecordedSoon is how many attempts to record certificates fail while nothing is wrong: nodes start, leaders change.
const unrecordedSoon = 3

// noteRecord says when certificates are not on record although they should be by now: they cannot be listed, nor revoked by owner.
func (c *certificates) noteRecord(err error) {
	if err == nil {
		c.unrecorded = 0
		return
	}
	level := slog.LevelDebug
	if c.unrecorded++; c.unrecorded == unrecordedSoon {
		level = slog.LevelWarn
	}
	c.log.Log(context.Background(), level, "this node's certificates could not be put on record; the next attempt is in a minute", "error", err)
}

// noteRefused says once a day that nobody talks to this node any more, and what to do about it.
func (c *certificates) noteRefused(now time.Time) {
	err := c.authority.Refused()
	if err == nil {
		delete(c.warned, "refused")
		return
	}
	if now.Sub(c.warned["refused"]) >= 24*time.Hour {
		c.warned["refused"] = now
		c.log.Error("this node's certificate was revoked, and other nodes refuse it: issue another one on one of them (poolwire pki issue node) and put the files into pki_dir",
			"node", c.cfg.NodeID, "pki_dir", c.cfg.PKIDir, "error", err)
	}
}

// warn says once a day which certificates end soon.
func (c *certificates) warn(now time.Time) {
	for _, e := range c.authority.Expiries() {
		if left := e.NotAfter.Sub(now); left < warnBefore && now.Sub(c.warned[e.Name]) >= 24*time.Hour {
			c.warned[e.Name] = now
			c.log.Warn("certificate ends soon", "certificate", e.Name, "subject", e.Subject, "not_after", e.NotAfter.UTC().Format(time.RFC3339), "days_left", int(left.Hours()/24))
		}
	}
}

// renewElsewhere has this node's certificate renewed by the node that leads, which finds one with the CA's key.
func (c *certificates) renewElsewhere(ctx context.Context) error {
	csr, due, err := c.authority.Renewal()
	if err != nil || !due {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, renewalTimeout)
	defer cancel()
	var failed error
	for _, address := range c.nodesToAsk() {
		r, err := renewAt(ctx, c.leaders, address, csr)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", address, err))
			continue
		}
		if err := c.authority.Install(r.GetCertificatePem()); err != nil {
			return err
		}
		c.log.Info("certificate renewed", "certificate", "node", "by", address, "not_after", r.GetCertificate().GetNotAfter().AsTime())
		return nil
	}
	if failed == nil {
		failed = errors.New("no other node is known")
	}
	return failed
}

func renewAt(ctx context.Context, p *peers, address string, csr []byte) (*poolwirev1.RenewCertificateResponse, error) {
	conn, release, err := p.Reach(address)
	if err != nil {
		return nil, err
	}
	defer release()
	return poolwirev1.NewPkiServiceClient(conn).RenewCertificate(ctx, &poolwirev1.RenewCertificateRequest{Csr: csr})
}

// nodesToAsk are the API addresses of the other nodes, that of the leader first, and of those to join.
func (c *certificates) nodesToAsk() []string {
	var out []string
	known := map[string]bool{"": true, c.self.GetApiAddress(): true}
	add := func(address string) {
		if !known[address] {
			known[address] = true
			out = append(out, address)
		}
	}
	_, leader := c.store.Leader()
	add(leader)
	for _, m := range c.store.View().Nodes() {
		add(m.GetApiAddress())
	}
	for _, address := range c.cfg.Join {
		add(address)
	}
	return out
}

// record has the leader record the certificates of this node that are not on record.
func (c *certificates) record(ctx context.Context) error {
	v := c.store.View()
	var missing []byte
	for _, leaf := range c.authority.Own() {
		if v.Certificate(c.authority.IssuerOf(leaf), pki.Serial(leaf)) == nil {
			missing = append(missing, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})...)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, leader := c.store.Leader()
	if leader == "" {
		return errors.New("nobody leads")
	}
	ctx, cancel := context.WithTimeout(ctx, renewalTimeout)
	defer cancel()
	conn, release, err := c.leaders.Reach(leader)
	if err != nil {
		return err
	}
	defer release()
	_, err = poolwirev1.NewPkiServiceClient(conn).RecordCertificates(ctx, &poolwirev1.RecordCertificatesRequest{CertificatesPem: missing})
	return err
}
