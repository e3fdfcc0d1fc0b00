package northbound

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// The calls of this file take the parameters of XCP-ng's sdncontroller plugin.
// They differ from the plugin where it surprises its users: del-rule there also
// removes rules that are more specific than the one named, a cookie there
// replaces and removes rules of other bridges' ports too, and a host that is
// away there forgets them.

// AddRule adds a rule the way XCP-ng's add-rule does.
func (s *ruleService) AddRule(ctx context.Context, req *v1.AddRuleRequest) (*v1.AddRuleResponse, error) {
	var bad violations
	r := &v1.Rule{
		Mac: req.GetMac(), Direction: req.GetDirection(), IpRange: req.GetIpRange(), Protocol: req.GetProtocol(), Port: req.Port,
		Allow: req.GetAllow(), Priority: req.Priority, Cookie: req.GetCookie(),
	}
	validate(ruleFields(), r, bad.at(""))
	checkRule(r, bad.at(""))
	res, err := s.write(ctx, mutation{asked: req, probe: putRule(nil, storev1.PutMode_PUT_MODE_REPLACE),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			found := bad.and()
			place, err := findPlace(v, networkQuery{field: "bridge", ref: req.GetBridge(), pool: req.GetPool(), mac: r.GetMac()})
			if err := found.adopt(err); err != nil {
				return nil, err
			}
			if err := found.err(); err != nil {
				return nil, err
			}
			now := proto.CloneOf(r)
			now.NetworkUuid = place.uuid()
			return putRule(now, storev1.PutMode_PUT_MODE_REPLACE), nil
		}})
	if err != nil {
		return nil, err
	}
	return &v1.AddRuleResponse{Rule: s.stored(res, r), Replaced: res.Replaced, Revision: res.Revision, Preview: res.preview}, nil
}

// RemoveRule removes rules the way XCP-ng's del-rule does, but exactly.
func (s *ruleService) RemoveRule(ctx context.Context, req *v1.RemoveRuleRequest) (*v1.RemoveRuleResponse, error) {
	asked, err := removal(req)
	if err != nil {
		return nil, err
	}
	var removed []*v1.Rule
	res, err := s.write(ctx, mutation{asked: req, probe: neverRule(),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			var found violations
			place, err := findPlace(v, networkQuery{field: "bridge", ref: req.GetBridge(), pool: req.GetPool(), mac: asked.GetMac()})
			if err := found.adopt(err); err != nil {
				return nil, err
			}
			if err := found.err(); err != nil {
				return nil, err
			}
			removed = rulesToRemove(v, place, asked)
			if len(removed) == 0 && req.GetRequestId() == "" {
				return nil, nil
			}
			return deleteRules("", uuidsOf(removed)...), nil
		}})
	if err != nil {
		return nil, err
	}
	return &v1.RemoveRuleResponse{Removed: thoseOf(removed, res.UUIDs, asked), Revision: res.Revision, Preview: res.preview}, nil
}

// removal checks a request to remove rules and returns what it names, in the
// form of a rule. A label, when there is one, is all that counts beside place
// and MAC address.
func removal(req *v1.RemoveRuleRequest) (*v1.Rule, error) {
	r := &v1.Rule{
		Mac: req.GetMac(), Direction: req.GetDirection(), IpRange: req.GetIpRange(), Protocol: req.GetProtocol(),
		Port: req.Port, Cookie: req.GetCookie(),
	}
	var bad violations
	if req.GetBridge() == "" {
		bad.at("bridge").say("is required: the name of a bridge, or the UUID or name_label of a network")
	}
	byCookie := req.GetCookie() != ""
	for _, f := range ruleFields() {
		switch f.path {
		case "mac", "cookie":
			f.check(r, bad.at(f.path))
		case "direction", "ip_range", "protocol", "port":
			if !byCookie {
				f.check(r, bad.at(f.path))
			}
		}
	}
	if byCookie && r.GetCookie() == noCookie {
		bad.at("cookie").refuse(req.GetCookie(), "means no label, so it names no rules; give a label, or direction and protocol")
	}
	if byCookie && (req.GetDirection() != 0 || req.GetProtocol() != 0 || req.GetIpRange() != "" || req.Port != nil) {
		bad.at("cookie").refuse(req.GetCookie(), "removes all rules of the label; leave direction, protocol, ip_range and port out, or the cookie")
	}
	if !byCookie {
		checkRule(r, bad.at(""))
		r.Cookie = ""
	}
	return r, bad.err()
}

// rulesToRemove lists the rules on a place that a request names. With a MAC
// address they are those of that VIF, whether they were bound to it by the
// address or by its UUID.
func rulesToRemove(v *raftstore.View, place networkPlace, asked *v1.Rule) []*v1.Rule {
	var here []*v1.Rule
	for _, id := range place.uuids() {
		for _, r := range v.RulesByNetwork(id) {
			if asked.GetMac() == r.GetMac() || asked.GetMac() == "" && asked.GetCookie() != "" {
				here = append(here, r)
			}
		}
	}
	here = append(here, vifRulesAt(v, place, asked)...)
	if asked.GetCookie() != "" {
		return slices.DeleteFunc(here, func(r *v1.Rule) bool { return r.GetCookie() != asked.GetCookie() })
	}
	exact := slices.DeleteFunc(slices.Clone(here), func(r *v1.Rule) bool { return !sameTraffic(r, asked, asked.GetDirection()) })
	if len(exact) > 0 || asked.GetDirection() != v1.Direction_DIRECTION_FROM_TO {
		return exact
	}
	return slices.DeleteFunc(here, func(r *v1.Rule) bool {
		return !sameTraffic(r, asked, v1.Direction_DIRECTION_FROM) && !sameTraffic(r, asked, v1.Direction_DIRECTION_TO)
	})
}

// vifRulesAt lists the rules bound by UUID to VIFs on a place: to the one with
// the MAC address asked for, or with a label to all of them.
func vifRulesAt(v *raftstore.View, place networkPlace, asked *v1.Rule) []*v1.Rule {
	var out []*v1.Rule
	if asked.GetMac() != "" {
		for _, vif := range v.VifsByMAC(asked.GetMac()) {
			if place.has(vif.GetNetworkUuid()) {
				out = append(out, v.RulesByVif(vif.GetUuid())...)
			}
		}
		return out
	}
	for _, r := range v.RulesByCookie(asked.GetCookie()) {
		if r.GetVifUuid() != "" && place.has(v.Vif(r.GetVifUuid()).GetNetworkUuid()) {
			out = append(out, r)
		}
	}
	return out
}

// sameTraffic tells whether a rule has the identity asked for.
func sameTraffic(r, asked *v1.Rule, d v1.Direction) bool {
	return r.GetDirection() == d && r.GetIpRange() == asked.GetIpRange() && r.GetProtocol() == asked.GetProtocol() &&
		(r.Port == nil) == (asked.Port == nil) && r.GetPort() == asked.GetPort()
}

func uuidsOf[T interface{ GetUuid() string }](rules []T) []string {
	var out []string
	for _, r := range rules {
		out = append(out, r.GetUuid())
	}
	return out
}

// thoseOf returns the rules with these UUIDs. Of a repeated request they are
// long gone: what is known of them then is what was asked for.
func thoseOf(rules []*v1.Rule, uuids []string, asked *v1.Rule) []*v1.Rule {
	var out []*v1.Rule
	for _, id := range uuids {
		at := slices.IndexFunc(rules, func(r *v1.Rule) bool { return r.GetUuid() == id })
		if at >= 0 {
			out = append(out, rules[at])
			continue
		}
		gone := proto.CloneOf(asked)
		gone.Uuid = id
		out = append(out, gone)
	}
	return out
}
