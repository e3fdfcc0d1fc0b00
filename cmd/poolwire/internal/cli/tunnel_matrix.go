package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) tunnelMatrix() *cobra.Command {
	q := &poolwirev1.GetTunnelMatrixRequest{}
	c := &cobra.Command{
		Use: "matrix", Short: "Show the state of every pair of hosts that share a private network", Args: cobra.NoArgs,
		Example: "  poolwire tunnel matrix\n  poolwire tunnel matrix --network blue",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				m, err := api.tunnels.GetTunnelMatrix(ctx, q)
				if err != nil {
					return err
				}
				if a.structured() {
					return a.printMessage(m)
				}
				printMatrix(a.streams.Out, m)
				return nil
			})
		},
	}
	c.Flags().StringVar(&q.PrivateNetwork, "network", "", "only the hosts of this private network")
	return c
}

// printMatrix draws the upper half of the matrix: what is between two hosts is the same both ways. Columns are numbered, as
// names are too long for them.
func printMatrix(out io.Writer, m *poolwirev1.GetTunnelMatrixResponse) {
	if len(m.GetHosts()) == 0 {
		fmt.Fprintln(out, "no private network has members")
		return
	}
	width := 0
	for _, h := range m.GetHosts() {
		width = max(width, len(matrixName(h)))
	}
	marks := map[[2]uint32]string{}
	for _, c := range m.GetCells() {
		marks[[2]uint32{c.GetRow(), c.GetColumn()}] = matrixMark(c)
	}
	head := fmt.Sprintf("%4s %-*s", "", width, "")
	for i := range m.GetHosts() {
		head += fmt.Sprintf(" %3d", i+1)
	}
	fmt.Fprintln(out, strings.TrimRight(head, " "))
	for i, h := range m.GetHosts() {
		line := fmt.Sprintf("%4d %-*s", i+1, width, matrixName(h))
		for j := range m.GetHosts() {
			mark := ""
			switch {
			case j == i:
				mark = "\\"
			case j > i:
				mark = marks[[2]uint32{uint32(i), uint32(j)}]
			}
			line += fmt.Sprintf(" %3s", mark)
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	fmt.Fprintln(out, "\n+ up   * up, encrypted   ~ degraded   . starting   ! encryption not proved   X down   r over a relay")
	if m.GetTruncated() {
		fmt.Fprintln(out, "there are more hosts than fit: see 'poolwire tunnel list'")
	}
}

func matrixName(h *poolwirev1.TunnelMatrixHost) string {
	return clean(h.GetPoolNameLabel() + "/" + h.GetHostNameLabel())
}

// matrixMark is one character for what is between two hosts.
func matrixMark(c *poolwirev1.TunnelMatrixCell) string {
	protected := c.GetProtection()
	switch {
	case c.GetRelayed():
		return "r"
	case c.GetState() == poolwirev1.TunnelState_TUNNEL_STATE_DOWN:
		return "X"
	case protected == poolwirev1.TunnelProtection_TUNNEL_PROTECTION_PENDING || protected == poolwirev1.TunnelProtection_TUNNEL_PROTECTION_FAILED:
		return "!"
	case c.GetState() == poolwirev1.TunnelState_TUNNEL_STATE_DEGRADED:
		return "~"
	case c.GetState() != poolwirev1.TunnelState_TUNNEL_STATE_UP:
		return "."
	case protected == poolwirev1.TunnelProtection_TUNNEL_PROTECTION_PROVED:
		return "*"
	}
	return "+"
}
