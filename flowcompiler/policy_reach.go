package flowcompiler

// reach says what of the policies reaches a VIF.
type reach struct {
	// policed: a rule, or a default action that drops. tracked: a rule that looks at
	// connections.
	policed, tracked bool
}

// reachOf looks at all scopes that a VIF is in. Whatever list of them appears, goes, or
// gets or loses its first stateful rule touches the VIF (see SetPolicy).
func (c *Compiler) reachOf(v *VIF, n *Network) reach {
	if n == nil || c.bridge.NoPolicies {
		return reach{}
	}
	r := reach{policed: n.DropInbound || n.DropOutbound}
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
	r.tracked = r.tracked || more.tracked
}

// reachOfRules returns what a list of rules means for the VIFs that it reaches.
func reachOfRules(rules []PolicyRule) reach {
	r := reach{policed: len(rules) > 0}
	for i := range rules {
		r.tracked = r.tracked || !rules[i].Stateless
	}
	return r
}
