package cli

import (
	"context"

	"github.com/spf13/cobra"

	"poolwire/objecttext"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) pkiRotate() *cobra.Command {
	c := &cobra.Command{
		Use: "rotate", Short: "Replace the controller's CA without disconnecting anybody",
		Long: `Replace the controller's CA in three steps. Both CAs are trusted in between, and no
connection is cut.

  begin    makes the next CA; every node trusts both from then on. Hosts and clients get
           certificates of the next one: 'poolwire pki export-host' and 'poolwire pki renew'.
           The ca.pem that comes with them holds both.
  switch   has nodes present certificates of the next CA. Refused while a host or a node is not
           ready for that.
  finish   forgets the old CA. Refused while somebody still presents what it has signed.

'status' names who is not ready. 'abort' forgets the next CA, before the switch. Refused while
anybody has a certificate of it: that would be worth nothing, and a client that has renewed has
no other one.`,
	}
	c.AddCommand(
		a.rotateStep("begin", "Make the next CA, and trust it", poolwirev1.CaRotationStep_CA_ROTATION_STEP_BEGIN),
		a.rotateStatus(),
		a.rotateStep("switch", "Have nodes present certificates of the next CA", poolwirev1.CaRotationStep_CA_ROTATION_STEP_SWITCH),
		a.rotateStep("finish", "Forget the old CA", poolwirev1.CaRotationStep_CA_ROTATION_STEP_FINISH),
		a.rotateStep("abort", "Forget the next CA, before the switch", poolwirev1.CaRotationStep_CA_ROTATION_STEP_ABORT),
	)
	return c
}

func (a *app) rotateStep(name, short string, step poolwirev1.CaRotationStep) *cobra.Command {
	q := &poolwirev1.RotateCaRequest{Step: step}
	c := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.pki.RotateCa(ctx, q)
				if err != nil {
					return err
				}
				return a.printRotation(r.GetRotation())
			})
		},
	}
	switch step {
	case poolwirev1.CaRotationStep_CA_ROTATION_STEP_SWITCH, poolwirev1.CaRotationStep_CA_ROTATION_STEP_FINISH:
		c.Flags().BoolVar(&q.Force, "force", false, "although somebody is not ready; who that is is cut off")
	case poolwirev1.CaRotationStep_CA_ROTATION_STEP_ABORT:
		c.Flags().BoolVar(&q.Force, "force", false, "although somebody has a certificate of the next CA; who that is is cut off")
	}
	return c
}

func (a *app) rotateStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say how far a rotation is, and who is not ready for the next step", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.pki.GetCaRotation(ctx, &poolwirev1.GetCaRotationRequest{})
				if err != nil {
					return err
				}
				return a.printRotation(r.GetRotation())
			})
		},
	}
}

var partyColumns = []column[*poolwirev1.CaRotationParty]{
	{title: "KIND", value: func(p *poolwirev1.CaRotationParty) string { return objecttext.CertificateKind(p.GetKind()) }},
	{title: "NAME", value: (*poolwirev1.CaRotationParty).GetName},
	{title: "READY", value: func(p *poolwirev1.CaRotationParty) string {
		if p.GetReady() {
			return "yes"
		}
		return "no"
	}},
	{title: "REASON", value: (*poolwirev1.CaRotationParty).GetReason},
}

// printRotation writes the CAs, then who takes part.
func (a *app) printRotation(r *poolwirev1.CaRotation) error {
	if a.structured() {
		return a.printMessage(r)
	}
	if len(r.GetAnchors()) < 2 {
		a.say("no rotation is under way")
		return nil
	}
	for _, ca := range r.GetAnchors() {
		a.say("CA %s since %s", objecttext.Anchor(ca), moment(ca.GetStateTime()))
	}
	a.say("")
	return printTable(a.streams.Out, r.GetParties(), partyColumns, a.flags.output == "wide")
}
