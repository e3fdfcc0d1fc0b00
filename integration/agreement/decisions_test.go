package agreement

import (
	"fmt"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/integration/agreement/reference"
)

// decision is what the registers say at the end of one subject's policy.
type decision struct {
	found bool
	rule  uint32
	deny  bool
}

func differs(got decision, want reference.Verdict) string {
	if !got.found {
		return fmt.Sprintf("nothing was decided, should %+v", want)
	}
	// A denial by a rule of XCP-ng's form that something better overrules leaves its rule
	// behind, where no other rule let the packet pass.
	overruled := want.Pass && want.Rule == 0
	if got.rule != want.Rule && !slices.Contains(want.Equals, got.rule) && !overruled || got.deny == want.Pass {
		return fmt.Sprintf("%+v, should %+v", got, want)
	}
	return ""
}

// decisions reads the decisions from the walk: what a subject's policy has said is in
// the registers where the packet leaves its tables.
func decisions(t walk.Trace) (sent decision, received map[uint32]decision) {
	received = make(map[uint32]decision)
	for _, s := range t.Steps {
		r := &s.Packet.Registers
		d := decision{found: true, rule: r[field(flowcompiler.FieldRule)], deny: s.Table == uint8(flowcompiler.TableDenied)}
		inbound := r[0]>>7&1 == 1
		switch table := flowcompiler.Table(s.Table); {
		case table == flowcompiler.TableDenied && !inbound, table == flowcompiler.TableLearn:
			if !sent.found {
				sent = d
			}
		case (table == flowcompiler.TableDenied || table == flowcompiler.TableForward) && inbound:
			received[r[field(flowcompiler.FieldDestination)]] = d
		}
	}
	return sent, received
}

// field returns the register of a field that has it for itself.
func field(f flowcompiler.Field) int { return flowcompiler.Fields()[f].Register }
