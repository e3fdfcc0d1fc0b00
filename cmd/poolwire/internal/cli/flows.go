package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const dumpFlowsLong = `Print the flows of a bridge as the switch holds them now, foreign ones included,
in the form of 'ovs-ofctl dump-flows'. A fake bridge of a VLAN means its parent,
where the flows are.

  -o json      the answer of XCP-ng's sdncontroller plugin
  -o yaml      every field of every flow; with --explain, the object too
  --explain    under each flow of Poolwire's, the object it comes from`

func (a *app) dumpFlowsCommand() *cobra.Command {
	var explain bool
	var host, bridge string
	var table uint32
	c := &cobra.Command{
		Use: "dump-flows [bridge=BRIDGE] [host=HOST]", Short: "Print the flows a bridge holds", Long: dumpFlowsLong,
		Example: "  poolwire dump-flows bridge=xenbr0 host=xcp1\n  poolwire dump-flows --host xcp1 --bridge xenbr0 --explain",
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				name, value, _ := strings.Cut(strings.TrimPrefix(arg, "args:"), "=")
				switch {
				case name == "bridge" && bridge == "":
					bridge = value
				case name == "host" && host == "":
					host = value
				default:
					return usageError{fmt.Errorf("%q: use bridge=BRIDGE or host=HOST, each once", arg)}
				}
			}
			if bridge == "" {
				return usageError{errors.New("bridge: required, as bridge=BRIDGE or --bridge BRIDGE")}
			}
			req := &poolwirev1.DumpFlowsRequest{Host: host, Bridge: bridge, Explain: explain}
			if cmd.Flags().Changed("table") {
				req.Table = &table
			}
			if explain && a.flags.output == "json" {
				return usageError{errors.New("--explain: -o json is the answer of XCP-ng's plugin, which has no place for it; use -o yaml")}
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error { return a.dumpFlows(ctx, api, req) })
		},
	}
	c.Flags().StringVar(&host, "host", "", "host by name or UUID; may be left out when only one host has the bridge")
	c.Flags().StringVar(&bridge, "bridge", "", "bridge name")
	c.Flags().Uint32Var(&table, "table", 0, "only this table, 0 to 253")
	c.Flags().BoolVar(&explain, "explain", false, "add the object behind each flow")
	return c
}

func (a *app) dumpFlows(ctx context.Context, api *client, req *poolwirev1.DumpFlowsRequest) error {
	stream, err := api.flows.DumpFlows(ctx, req)
	if err != nil {
		return err
	}
	var flows []*poolwirev1.Flow
	bridge := req.GetBridge()
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		bridge = part.GetBridge()
		flows = append(flows, part.GetFlows()...)
	}
	switch a.flags.output {
	case "json":
		return a.printJSON(pluginAnswer{Command: []string{"ovs-ofctl", "dump-flows", bridge}, Stdout: flowText(flows, req.GetExplain())})
	case "yaml":
		return a.printFlows(flows)
	}
	_, err = io.WriteString(a.streams.Out, flowText(flows, req.GetExplain()))
	return err
}

// printFlows writes every field of flows. A cookie is written as ovs-ofctl does:
// as a decimal number nobody would know it again.
func (a *app) printFlows(flows []*poolwirev1.Flow) error {
	out := make([]map[string]json.RawMessage, 0, len(flows))
	for _, f := range flows {
		b, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(f)
		if err != nil {
			return fmt.Errorf("encoding the answer: %w", err)
		}
		fields := map[string]json.RawMessage{}
		if err := json.Unmarshal(b, &fields); err != nil {
			return fmt.Errorf("encoding the answer: %w", err)
		}
		fields["cookie"] = json.RawMessage(fmt.Sprintf("\"%#x\"", f.GetCookie()))
		out = append(out, fields)
	}
	return a.printJSON(out)
}

// pluginAnswer is what XCP-ng's sdncontroller plugin prints for dump-flows.
type pluginAnswer struct {
	Returncode int      `json:"returncode"`
	Command    []string `json:"command"`
	Stderr     string   `json:"stderr"`
	Stdout     string   `json:"stdout"`
}

// flowText is one line a flow, and one more for where it comes from.
func flowText(flows []*poolwirev1.Flow, explain bool) string {
	var b strings.Builder
	for _, f := range flows {
		b.WriteString(" " + strings.TrimPrefix(f.GetText(), " ") + "\n")
		if explain {
			b.WriteString("     # " + originText(f) + "\n")
		}
	}
	return b.String()
}

// originText says where a flow comes from: table, what the flow does, object.
func originText(f *poolwirev1.Flow) string {
	if !f.GetOwned() {
		return "foreign: not one of Poolwire's"
	}
	o := f.GetOrigin()
	text := originWords(o)
	if o.GetName() != "" {
		text += " " + o.GetName()
	}
	if o.GetUuid() != "" && o.GetUuid() != o.GetName() {
		text += " (" + o.GetUuid() + ")"
	}
	if f.GetTableName() == "" {
		return text
	}
	return f.GetTableName() + ": " + text
}

// originWords joins what a flow does with the kind of its object, once where
// one says the other: "VIF rule" and not "VIF rule · rule".
func originWords(o *poolwirev1.FlowOrigin) string {
	purpose, kind := o.GetPurpose(), o.GetKind()
	p, k := " "+strings.ToLower(purpose), " "+strings.ReplaceAll(kind, "-", " ")
	switch {
	case kind == "gone":
		return strings.TrimSpace(purpose + " of an object that is gone")
	case purpose == "" || strings.HasSuffix(k, p):
		return kind
	case kind == "" || strings.HasSuffix(p, k) || purpose == "port" && kind == "bridge":
		return purpose
	}
	return purpose + " · " + kind
}
