package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"poolwire/auditchain"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

const auditVerifyLong = `Fetch the whole chain of audit records from the node that is asked, hash every record
again, here, and compare: a record that was changed, left out, added or put elsewhere
is named, and the exit code is 1.

A chain that was cut off at its end, or written anew from some record on, verifies in
itself. Note its head from time to time where nobody who can write to the nodes can
write (the last line says it), and give it later by --expect-head: then it has to be
on the chain. Ask each node in turn (--server) to verify all copies.`

func (a *app) auditVerify() *cobra.Command {
	var heads []string
	c := &cobra.Command{
		Use: "verify", Short: "Prove that no audit record was changed or is missing", Long: auditVerifyLong, Args: cobra.NoArgs,
		Example: "  poolwire audit verify\n  poolwire audit verify --expect-head 4711:9f2c...",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var expected []auditchain.Head
			for _, text := range heads {
				h, err := auditchain.Parse(text)
				if err != nil {
					return usageError{fmt.Errorf("--expect-head %q: use NUMBER:HASH, the hash with 64 hexadecimal digits, as 'poolwire audit verify' prints it", text)}
				}
				expected = append(expected, h)
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error { return a.verifyAudit(ctx, api, expected) })
		},
	}
	c.Flags().StringArrayVar(&heads, "expect-head", nil, "a head NUMBER:HASH that was noted earlier; may be given more than once")
	return c
}

// verified is the answer of 'audit verify' for programs.
type verified struct {
	Cluster string `json:"cluster_uuid"`
	Node    string `json:"node_id"`
	Records int    `json:"records"`
	Oldest  uint64 `json:"oldest"`
	Head    string `json:"head"`
	Bytes   uint64 `json:"bytes"`
}

func (a *app) verifyAudit(ctx context.Context, api *client, expected []auditchain.Head) error {
	stream, err := api.audit.ReadAuditChain(ctx, &poolwirev1.ReadAuditChainRequest{})
	if err != nil {
		return err
	}
	part, err := stream.Recv()
	if err != nil {
		return err
	}
	ends := part.GetEnds()
	head := auditchain.Head{Sequence: ends.GetHeadSequence(), Hash: ends.GetHeadHash()}
	out := verified{Cluster: part.GetClusterUuid(), Node: part.GetNodeId(), Oldest: ends.GetAnchorSequence() + 1, Head: head.String(), Bytes: ends.GetBytes()}
	v := auditchain.New(auditchain.Head{Sequence: ends.GetAnchorSequence(), Hash: ends.GetAnchorHash()}, expected...)
	for err == nil {
		for _, l := range part.GetLinks() {
			if err := v.Add(l.GetSequence(), l.GetRecord(), l.GetHash()); err != nil {
				return fmt.Errorf("node %s: %w", out.Node, err)
			}
		}
		part, err = stream.Recv()
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if err := v.End(head); err != nil {
		return fmt.Errorf("node %s: %w", out.Node, err)
	}
	if out.Records = v.Records; a.structured() {
		return a.printJSON(out)
	}
	a.say("node %s: %s verified, %d to %d, %d bytes", out.Node, plural(uint64(v.Records), "record"), out.Oldest, head.Sequence, out.Bytes)
	a.say("head %s", head)
	return nil
}
