package controller

import (
	"time"

	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// away reports whether the host can confirm nothing now. A first attempt to
// connect that is still under way is not yet an absence; a repeated one is.
func (s *hostState) away() bool {
	switch s.state {
	case poolwirev1.HostState_HOST_STATE_SYNCING, poolwirev1.HostState_HOST_STATE_READY:
		return false
	case poolwirev1.HostState_HOST_STATE_CONNECTING, poolwirev1.HostState_HOST_STATE_RELEASED:
		return s.err != nil
	}
	return true
}

// pendingRevision is the oldest change the host has not confirmed, 0 for none.
func (h *hostActor) pendingRevision() uint64 {
	oldest := h.marks.oldest()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.bridges {
		oldest = older(oldest, a.pendingRevision())
	}
	return oldest
}

// confirmed is the revision up to which the host has confirmed everything.
func (h *hostActor) confirmed(processed uint64) uint64 {
	if pending := h.pendingRevision(); pending != 0 {
		return min(pending-1, processed)
	}
	return processed
}

// progressOf is how far the host has got with the change of a revision. processed
// must have been read before.
func (h *hostActor) progressOf(revision, processed uint64) (state poolwirev1.RealizationState, err error) {
	st := h.state.Load()
	switch {
	case st.state == poolwirev1.HostState_HOST_STATE_RELEASED && !h.lead.store.View().Host(h.uuid).GetManaged():
		// Released means that nothing is wanted there: everything wanted is in place.
		return poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED, nil
	case st.away():
		err = st.err
		if err == nil {
			err = errAway
		}
		return poolwirev1.RealizationState_REALIZATION_STATE_PENDING, err
	case revision <= h.confirmed(processed) && st.state == poolwirev1.HostState_HOST_STATE_READY:
		if st.conflict != nil && revision <= st.until {
			return poolwirev1.RealizationState_REALIZATION_STATE_FAILED, st.conflict
		}
		return poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED, nil
	}
	if err := h.obstacle(); err != nil {
		return poolwirev1.RealizationState_REALIZATION_STATE_FAILED, err
	}
	return poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS, nil
}

// realization is progressOf in API words.
func (h *hostActor) realization(revision, processed uint64) *poolwirev1.HostRealization {
	state, err := h.progressOf(revision, processed)
	out := &poolwirev1.HostRealization{
		HostUuid: h.uuid, HostNameLabel: *h.label.Load(), State: state, ConfirmedRevision: h.confirmed(processed),
	}
	if err != nil {
		out.Error = said(err)
	}
	return out
}

// obstacle is what keeps the host's bridges from taking what is pending.
func (h *hostActor) obstacle() error {
	for _, a := range h.bridgeActors() {
		if st := a.state.Load(); st.obstacle != nil {
			return fmt.Errorf("bridge %s: %w", a.name, st.obstacle)
		}
	}
	return nil
}

// maxReason is how many bytes of an error are repeated: errors may quote a peer.
const maxReason = 1000

// said is an error for a message of the API.
func said(err error) string { return clipped(err.Error(), maxReason) }

// clipped cuts a text that a peer may have written down to size and to UTF-8,
// without which no message could hold it.
func clipped(text string, limit int) string {
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

// status is the host's live state in API words.
func (h *hostActor) status(processed uint64) *poolwirev1.HostStatus {
	st := h.state.Load()
	view := h.lead.store.View()
	out := &poolwirev1.HostStatus{
		State: st.state, Since: timestamppb.New(st.since),
		OvsVersion: view.HostFacts(h.uuid).GetOvsVersion(), TransportAddress: endpoint(view, h.uuid),
		ConfirmedRevision: h.confirmed(processed),
	}
	if out.State == poolwirev1.HostState_HOST_STATE_READY && out.ConfirmedRevision < processed {
		out.State = poolwirev1.HostState_HOST_STATE_SYNCING
	}
	seen := sight{h.lead, view}
	out.TransportInterface, out.Guarded = seen.egress(h.uuid), seen.guarded(h.uuid)
	if host := view.Host(h.uuid); host.GetManaged() {
		out.Warnings = hostWarnings(view, host)
	}
	if st.conflict != nil {
		out.Warnings = append(out.Warnings, said(st.conflict))
	}
	if st.err != nil {
		out.LastError = said(st.err)
	}
	h.describeCertificate(out)
	for _, a := range h.bridgeActors() {
		a.describe(view, out)
	}
	slices.SortFunc(out.Bridges, func(x, y *poolwirev1.BridgeStatus) int { return strings.Compare(x.GetName(), y.GetName()) })
	for _, m := range st.missing {
		out.Warnings = append(out.Warnings, "waiting for "+m)
	}
	return out
}

// describe adds a bridge to its host's status.
func (a *bridgeActor) describe(v *raftstore.View, out *poolwirev1.HostStatus) {
	st := a.state.Load()
	row := v.Bridge(a.host.uuid, a.name)
	mode := poolwirev1.FailMode_FAIL_MODE_STANDALONE
	if row.GetFailMode() == "secure" {
		mode = poolwirev1.FailMode_FAIL_MODE_SECURE
	}
	out.Bridges = append(out.Bridges, &poolwirev1.BridgeStatus{
		Name: a.name, Connected: st.connected, FlowsWanted: uint64(st.wanted), FlowsInstalled: uint64(st.held),
		FailMode: mode, FlowsForeign: uint64(st.foreign), Owned: row.GetOwned(),
	})
	out.DriftFound += st.driftFound
	out.DriftRepaired += st.driftRepaired
	if !st.connected && out.State == poolwirev1.HostState_HOST_STATE_READY {
		out.State = poolwirev1.HostState_HOST_STATE_SYNCING
		out.Warnings = append(out.Warnings, fmt.Sprintf("bridge %s has no OpenFlow session", a.name))
	}
	if st.err != nil {
		out.LastError = fmt.Sprintf("bridge %s: %s", a.name, said(st.err))
	}
	if len(st.flagless) > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("bridge %s floods to %d VIFs past their rules: %s", a.name, len(st.flagless), noFlags))
	}
	if a.snoops() {
		out.Warnings = append(out.Warnings, fmt.Sprintf("bridge %s sends multicast to %d VIFs past their rules: %s", a.name, len(st.copied), snooped))
	}
	if len(st.crowded) > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("bridge %s: %d VIFs pass nothing: they have more rules than there is room for", a.name, len(st.crowded)))
	}
	out.Warnings = append(out.Warnings, st.zoneWarnings(a.name)...)
	for _, f := range st.shadowing {
		out.Warnings = append(out.Warnings, fmt.Sprintf("bridge %s: a foreign flow wins over Poolwire's: %s", a.name, f))
	}
}

// warnBefore is how long before its end a host's certificate is warned of.
const warnBefore = 30 * 24 * time.Hour

// describeCertificate tells which certificate the host has shown last, and warns of its end. One that is pinned
// may end; see pki.TrustPinned.
func (h *hostActor) describeCertificate(out *poolwirev1.HostStatus) {
	c := h.presented.Load()
	if c == nil {
		return
	}
	issuer := h.lead.cfg.IssuerOf(c)
	out.Certificate = &poolwirev1.PresentedCertificate{Sha256: pki.Fingerprint(c), NotAfter: timestamppb.New(c.NotAfter), Issuer: issuer}
	if left := c.NotAfter.Sub(h.lead.cfg.Clock.Now()); issuer != "" && left < warnBefore {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the host's certificate ends on %s: give it another one, with 'poolwire pki export-host'", c.NotAfter.UTC().Format(time.RFC3339)))
	}
}

// CertificateEnds says until when the certificates are valid that hosts have shown, by name_label; nothing on a node
// that does not lead. Names are unique, so there are no more than hosts.
func (c *Controller) CertificateEnds() map[string]time.Time {
	out := map[string]time.Time{}
	if l := c.current.Load(); l != nil {
		l.everyHost(func(h *hostActor) {
			if cert, label := h.presented.Load(), h.label.Load(); cert != nil && label != nil {
				out[*label] = cert.NotAfter
			}
		})
	}
	return out
}
