package flowcompiler

// reach says what of the policies reaches a VIF.
type reach struct {
	// policed: a rule, or a default action that drops. sessions: a rule that looks at
	// connections.
	policed, sessions bool
	// answers: the default action drops one way and allows the other, where the VIF opens
	// connections, or has them opened to it, whose answers are to pass all the same. A VIF
	// that cannot be tracked does without: every packet for itself.
	answers bool
}

// reachOf looks at all scopes that a VIF is in. Whatever list of them appears, goes, or
// gets or loses its first stateful rule touches the VIF (see SetPolicy).
func (c *Compiler) reachOf(v *VIF, n *Network) reach {
	if n == nil || c.bridge.NoPolicies {
		return reach{}
	}
	r := reach{policed: n.DropInbound || n.DropOutbound, answers: n.DropInbound != n.DropOutbound && v.Zone != 0}
	r.add(c.reaches, PolicyScope{Level: Global})
	r.add(c.reaches, PolicyScope{Level: Pool})
	r.add(c.reaches, PolicyScope{OfNetwork, v.Network})
	r.add(c.reaches, PolicyScope{OfVIF, v.ID})
	for _, group := range v.Groups {
		r.add(c.reaches, PolicyScope{OfGroup, group})
	}
	return r
}

func (r *reach) add(reaches map[PolicyScope]reach, s PolicyScope) {
	more := reaches[s]
	r.policed = r.policed || more.policed
	r.sessions = r.sessions || more.sessions
}

// reachOfRules returns what a list of rules means for the VIFs that it reaches.
func reachOfRules(rules []PolicyRule) reach {
	r := reach{policed: len(rules) > 0}
	for i := range rules {
		r.sessions = r.sessions || !rules[i].Stateless
	}
	return r
}
