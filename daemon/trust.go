package daemon

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

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
	anchors, _ := n.store.View().TrustAnchors()
	if len(anchors) > 0 {
		if err := n.setAnchors(anchors); err != nil {
			n.log.Error("the CAs of the cluster could not be taken over; the next attempt is in a minute", "pki_dir", n.cfg.PKIDir, "error", err)
		}
	}
	if len(anchors) > 0 || n.authority.Refused() != nil {
		select {
		case n.trustChanged <- struct{}{}: // this node's certificate may be of the wrong CA, or revoked
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
