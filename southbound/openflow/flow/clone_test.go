package flow

import (
	"strings"
	"testing"
)

func TestClone(t *testing.T) {
	t.Parallel()
	for want, i := range map[string]Instructions{
		"clone(output:1)": Apply(Clone(Output(1))),
		"clone(load:0x7->NXM_NX_REG4[],resubmit(,38)),output:2":     Apply(Clone(LoadReg(4, 7, 0xffffffff), Resubmit(38)), Output(2)),
		"clone(push_vlan:0x8100,set_field:4101->vlan_vid,output:1)": Apply(Clone(PushVLAN(), SetVLAN(5), Output(1))),
		"output:1,push:NXM_OF_IN_PORT[],load:0xfffe->NXM_OF_IN_PORT[]," +
			"clone(output(port=LOCAL,max_len=14),pop:NXM_OF_IN_PORT[],resubmit(,5)),clone(output(port=LOCAL,max_len=14),pop:NXM_OF_IN_PORT[],output:7)," +
			"pop:NXM_OF_IN_PORT[],output:2": Apply(Output(1), Copies(Resubmit(5), Output(7)), Output(2)),
		"output:1": Apply(Copies(), Output(1)),
		"clone(clone(load:0x1->NXM_NX_REG0[5]),output:1),goto_table:30": ApplyGoto(30, Clone(Clone(LoadReg(0, 1<<5, 1<<5)), Output(1))),
	} {
		if got := (Flow{Table: 1, Instructions: i}).String(); !strings.HasSuffix(got, " actions="+want) {
			t.Errorf("%s\nwant actions %s", got, want)
		}
	}
}
