package flow

func (p *printer) tunnel(view *matchView) {
	for _, f := range [...]Field{FieldTunnelID, FieldTunnelSrc, FieldTunnelDst, FieldTunnelSrc6, FieldTunnelDst6} {
		p.field(f, view.take(f))
	}
	p.decimalMasked("tun_gbp_id", view.take(FieldTunnelGBPID))
	if flags := view.take(FieldTunnelGBPF); flags.present() {
		p.str("tun_gbp_flags=").hex(getUint(flags.value)).str(",")
	}
	p.experimenterFields(view, placeTunnel)
	if flags := view.take(FieldTunnelFlags); flags.present() {
		// One flag exists, so the mask is always full, but ovs-ofctl prints it as if there were more.
		p.str("tun_flags=").signedFlags(getUint(flags.value), 1, tunnelFlagName).str(",")
	}
	p.tunnelMetadata(view)
}

// vlan prints vlan_vid and vlan_pcp as the 16-bit TCI that they are parts of:
// priority (3 bits), present (1 bit), id (12 bits).
func (p *printer) vlan(view *matchView) {
	vid, pcp := view.take(FieldVLANVID), view.take(FieldVLANPCP)
	if !vid.present() && !pcp.present() {
		return
	}
	var tci, mask uint64
	if vid.present() {
		mask = getUint(vid.full()) & 0x1fff
		tci = getUint(vid.value) & mask
	}
	if pcp.present() {
		mask |= 0xe000
		tci |= getUint(pcp.value) & 7 << 13
	}
	idMask, pcpMask := mask&0x0fff, mask&0xe000
	switch {
	case tci&vlanPresent != 0 && mask != vlanPresent &&
		(idMask == 0 || idMask == 0x0fff) && (pcpMask == 0 || pcpMask == 0xe000):
		if idMask != 0 {
			p.str("dl_vlan=").dec(tci & 0x0fff).str(",")
		}
		if pcpMask != 0 {
			p.str("dl_vlan_pcp=").dec(tci >> 13).str(",")
		}
	case mask == 0xffff:
		p.printf("vlan_tci=0x%04x,", tci)
	default:
		p.printf("vlan_tci=0x%04x/0x%04x,", tci, mask)
	}
}

// network prints the fields of the network layer. A match has those of one
// protocol only, so their order among each other is free where ovs-ofctl has
// the same one.
func (p *printer) network(view *matchView) {
	p.field(FieldIPv6Src, view.take(FieldIPv6Src))
	p.field(FieldIPv6Dst, view.take(FieldIPv6Dst))
	if label := view.take(FieldIPv6Label); label.present() {
		p.printf("ipv6_label=0x%05x", getUint(label.value))
		if label.mask != nil {
			p.printf("/0x%05x", getUint(label.mask))
		}
		p.str(",")
	}
	p.named("nw_src", FieldIPv4Src, view.take(FieldIPv4Src))
	p.named("nw_dst", FieldIPv4Dst, view.take(FieldIPv4Dst))
	for _, f := range [...]Field{FieldARPSPA, FieldARPTPA, FieldIPProto, FieldARPOp, FieldARPSHA, FieldARPTHA} {
		p.field(f, view.take(f))
	}
	if dscp := view.take(FieldIPDSCP); dscp.present() {
		p.str("nw_tos=").dec(getUint(dscp.value) << 2).str(",")
	}
	for _, f := range [...]Field{FieldIPECN, FieldIPTTL, FieldMPLSLabel, FieldMPLSTC, FieldMPLSTTL, FieldMPLSBOS} {
		p.field(f, view.take(f))
	}
	p.named("nw_frag", FieldIPFrag, view.take(FieldIPFrag))
}

// transport prints ports, ICMP and neighbour discovery.
func (p *printer) transport(view *matchView) {
	for _, f := range [...]Field{FieldTCPSrc, FieldUDPSrc, FieldSCTPSrc} {
		p.decimalMasked("tp_src", view.take(f))
	}
	for _, f := range [...]Field{FieldTCPDst, FieldUDPDst, FieldSCTPDst} {
		p.decimalMasked("tp_dst", view.take(f))
	}
	for _, f := range [...]Field{FieldICMPType, FieldICMP6Type} {
		p.decimalMasked("icmp_type", view.take(f))
	}
	for _, f := range [...]Field{FieldICMPCode, FieldICMP6Code} {
		p.decimalMasked("icmp_code", view.take(f))
	}
	for _, f := range [...]Field{FieldNDTarget, FieldNDSLL, FieldNDTLL, FieldNDReserved, FieldNDOptionType, FieldTCPFlags} {
		p.field(f, view.take(f))
	}
}
