package flow

// learnWriteResult is NX_LEARN_F_WRITE_RESULT: a field says whether the flow was learned.
const learnWriteResult = 1 << 2

// learn prints NXAST_LEARN, and NXAST_LEARN2, which adds a limit and a field
// for the result.
func (p *printer) learn(subtype uint16, a []byte) bool {
	r := &wireReader{b: a[vendorHeaderLen:]}
	idle, hard, priority := r.u16(), r.u16(), r.u16()
	cookie, flags, table := r.u64(), r.u16(), r.u8()
	r.skip(1)
	finIdle, finHard := r.u16(), r.u16()

	p.str("learn(table=").table(table)
	p.option("idle_timeout", uint64(idle))
	p.option("hard_timeout", uint64(hard))
	p.option("fin_idle_timeout", uint64(finIdle))
	p.option("fin_hard_timeout", uint64(finHard))
	if priority != defaultPriority {
		p.str(",priority=").dec(uint64(priority))
	}
	if flags&LearnSendFlowRemoved != 0 {
		p.str(",send_flow_rem")
	}
	if flags&LearnDeleteLearned != 0 {
		p.str(",delete_learned")
	}
	if cookie != 0 {
		p.str(",cookie=").hex(cookie)
	}
	if subtype == nxLearn2 && !p.learnResult(r, flags) {
		return false
	}
	for len(r.b) >= 2 {
		header := r.u16()
		if header == 0 {
			break
		}
		if !p.learnStep(r, header) {
			return false
		}
	}
	p.str(")")
	return !r.short
}

func (p *printer) option(name string, value uint64) {
	if value != 0 {
		p.str(",").str(name).str("=").dec(value)
	}
}

func (p *printer) learnResult(r *wireReader, flags uint16) bool {
	p.option("limit", uint64(r.u32()))
	offset := r.u16()
	r.skip(2)
	if flags&learnWriteResult == 0 {
		return true
	}
	dst := r.header()
	if dst == nil {
		return false
	}
	p.str(",result_dst=").bits(dst, offset, 1)
	return true
}

// learnStep prints one match or action of the learned flow.
func (p *printer) learnStep(r *wireReader, header uint16) bool {
	width := header & learnBitsMask
	var constant []byte
	var src, dst *fieldInfo
	var srcOffset, dstOffset uint16
	if header&learnSrcImmediate != 0 {
		constant = r.take((int(width) + 15) / 16 * 2)
	} else {
		src, srcOffset = r.header(), r.u16()
	}
	kind := header & (3 << 11)
	if kind != learnDstOutput {
		dst, dstOffset = r.header(), r.u16()
	}
	if (constant == nil && src == nil) || (kind != learnDstOutput && dst == nil) {
		return false
	}
	p.str(",")
	switch kind {
	case learnDstMatch:
		p.learnMatch(constant, src, srcOffset, dst, dstOffset, width)
	case learnDstLoad:
		p.str("load:")
		if constant != nil {
			p.hexBytes(constant)
		} else {
			p.bits(src, srcOffset, width)
		}
		p.str("->").bits(dst, dstOffset, width)
	case learnDstOutput:
		if src == nil {
			return false
		}
		p.str("output:").bits(src, srcOffset, width)
	default:
		return false
	}
	return true
}

// learnMatch prints a constant for a whole field in that field's own format,
// and a field that is matched against itself only once.
func (p *printer) learnMatch(constant []byte, src *fieldInfo, srcOffset uint16, dst *fieldInfo, dstOffset, width uint16) {
	switch {
	case constant != nil && dstOffset == 0 && width == uint16(dst.bits) && len(constant) >= dst.bytes():
		p.str(dst.name).str("=")
		p.value(dst, fieldValue{value: constant[len(constant)-dst.bytes():]})
	case constant != nil:
		p.bits(dst, dstOffset, width).str("=").hexBytes(constant)
	case src == dst && srcOffset == dstOffset:
		p.bits(dst, dstOffset, width)
	default:
		p.bits(dst, dstOffset, width).str("=").bits(src, srcOffset, width)
	}
}
