package flowcompiler

// MetersOfZone returns the numbers of the meters of the VIF with a zone: of what it sends and of
// what reaches it.
func MetersOfZone(zone uint16) (outbound, inbound uint32) {
	return 2*uint32(zone) + 1, 2*uint32(zone) + 2
}
