package daemon

import (
	"context"
	"crypto/x509"
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
	"poolwire/raftstore"
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
	// warned is when the end of a certificate was last warned of, by name.
	warned map[string]time.Time
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
	c.reloads.note(err)
	if err != nil {
		c.log.Error("certificates could not be read again or renewed; those in use stay", "pki_dir", c.cfg.PKIDir, "error", err)
	}
	for _, name := range renewed {
		c.log.Info("certificate renewed", "certificate", name)
	}
	if err := c.renewElsewhere(ctx); err != nil {
		c.log.Warn("this node's certificate could not be renewed by another node; the next attempt is in a minute", "error", err)
	}
	if err := c.record(ctx); err != nil {
		c.log.Debug("certificates not recorded yet", "error", err)
	}
	c.warn(time.Now())
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

// judgeRevoked says what the store knows against a certificate.
func judgeRevoked(store *raftstore.Store) func(issuer, serial string) error {
	return func(issuer, serial string) error {
		c := store.View().Certificate(issuer, serial)
		if c.GetRevokeTime() == nil {
			return nil
		}
		why := c.GetRevokeReason()
		if why == "" {
			why = "no reason given"
		}
		return fmt.Errorf("revoked at %s by %s: %s", c.GetRevokeTime().AsTime().UTC().Format(time.RFC3339), c.GetRevokedBy(), why)
	}
}

// followRevocations ends what was made with a certificate that was revoked, or whose CA is
// trusted no longer, as soon as this node knows.
func (n *node) followRevocations(ctx context.Context) error {
	for ctx.Err() == nil {
		view := n.store.View()
		n.followTrust()
		sub, err := n.store.Subscribe(view.Revision())
		for err == nil {
			var set raftstore.ChangeSet
			if set, err = sub.Next(ctx); err == nil && concernsTrust(set) {
				n.followTrust()
			}
		}
		if !errors.Is(err, raftstore.ErrCompacted) {
			return nil // the store or the daemon ends
		}
	}
	return nil
}

func concernsTrust(set raftstore.ChangeSet) bool {
	for _, c := range set.Changes {
		if c.Table == raftstore.TableCertificates || c.Table == raftstore.TableTrustAnchors {
			return true
		}
	}
	return false
}

// followTrust goes by what the store says of CAs and of revocations now.
func (n *node) followTrust() {
	if anchors, _ := n.store.View().TrustAnchors(); len(anchors) > 0 {
		if err := n.setAnchors(anchors); err != nil {
			n.log.Error("the CAs of the cluster could not be taken over; the next attempt is in a minute", "pki_dir", n.cfg.PKIDir, "error", err)
		}
		select {
		case n.trustChanged <- struct{}{}: // this node's certificate may be of the wrong one
		default:
		}
	}
	n.endUnusable()
}

func (n *node) setAnchors(records []*poolwirev1.TrustAnchor) error {
	var active pki.Anchor
	var others []pki.Anchor
	for _, r := range records {
		chains, err := pki.ParseAnchors("CA "+r.GetFingerprint(), r.GetChainPem())
		switch {
		case err != nil:
			return err
		case r.GetState() == poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_ACTIVE:
			active = chains[0]
		default:
			others = append(others, chains[0])
		}
	}
	if active == nil {
		return errors.New("none of the CAs on record issues")
	}
	return n.authority.SetAnchors(active, others)
}

// endUnusable ends all connections whose certificates are good no more.
func (n *node) endUnusable() {
	n.own.endUnusable()
	n.passive.endUnusable()
	n.board.End(func(certs []*x509.Certificate) error { return n.authority.Usable(certs, pki.OwnOrForeign) })
}

// watchOver makes the registers of connections; it is to be done before the first one.
func (n *node) watchOver(log *slog.Logger) {
	judge := func(whose pki.Ownership) func([]*x509.Certificate) error {
		return func(certs []*x509.Certificate) error { return n.authority.Usable(certs, whose) }
	}
	n.trustChanged = make(chan struct{}, 1)
	n.own, n.passive = newConnections(log, judge(pki.OwnOnly)), newConnections(log, judge(pki.OwnOrForeign))
}
