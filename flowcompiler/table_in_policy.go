package flowcompiler

// inPolicyBase judges what reaches VIFs.
func (e *emitter) inPolicyBase() {
	e.judge(walk{
		table: TableInPolicy, allowed: TableForward, denied: TableDenied,
		own: TableMandatoryIn, other: TableMandatoryOut, verdict: TableInVerdict,
	})
}
