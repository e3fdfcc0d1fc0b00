package flowcompiler

// inVerdictBase carries out what was said of a packet that reaches a VIF.
func (e *emitter) inVerdictBase() { e.carryOut(TableInVerdict, TableForward) }
