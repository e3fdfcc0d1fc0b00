package raftstore

import (
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Rules returns all rules.
func (v *View) Rules() []*poolwirev1.Rule { return all[*poolwirev1.Rule](v, TableRules) }

// Rule returns a rule by UUID.
func (v *View) Rule(uuid string) *poolwirev1.Rule { return get[*poolwirev1.Rule](v, TableRules, uuid) }

// RulesByVif returns the rules that name a VIF.
func (v *View) RulesByVif(vifUUID string) []*poolwirev1.Rule {
	return list[*poolwirev1.Rule](v, TableRules, indexVif, indexKey(vifUUID))
}

// RulesByNetwork returns the rules that name a network or private network:
// those for everything on it and those for one MAC address.
func (v *View) RulesByNetwork(networkUUID string) []*poolwirev1.Rule {
	return list[*poolwirev1.Rule](v, TableRules, indexNetwork, indexKey(networkUUID))
}

// RulesByCookie returns the rules of a label; none for "" and "0".
func (v *View) RulesByCookie(cookie string) []*poolwirev1.Rule {
	if noCookie(cookie) {
		return nil
	}
	return list[*poolwirev1.Rule](v, TableRules, indexCookie, indexKey(cookie))
}

// RuleByIdentity returns the rule with the place (vif_uuid or network_uuid and
// mac), direction, ip_range, protocol and port of r, whatever its other fields;
// nil when there is none.
func (v *View) RuleByIdentity(r *poolwirev1.Rule) *poolwirev1.Rule {
	return find[*poolwirev1.Rule](v, TableRules, indexIdentity, ruleIdentity(r))
}

func noCookie(cookie string) bool { return cookie == "" || cookie == "0" }

func cookieKeys(r *poolwirev1.Rule) []string {
	if noCookie(r.GetCookie()) {
		return nil
	}
	return []string{indexKey(r.GetCookie())}
}

// ruleIdentity encodes what no two rules share.
func ruleIdentity(r *poolwirev1.Rule) string {
	port := ""
	if r.Port != nil {
		port = strconv.FormatUint(uint64(r.GetPort()), 10)
	}
	return indexKey(r.GetVifUuid(), r.GetNetworkUuid(), r.GetMac(), strconv.Itoa(int(r.GetDirection())),
		r.GetIpRange(), strconv.Itoa(int(r.GetProtocol())), port)
}

func samePlace(a, b *poolwirev1.Rule) bool {
	return a.GetVifUuid() == b.GetVifUuid() && a.GetNetworkUuid() == b.GetNetworkUuid() && a.GetMac() == b.GetMac()
}

func (t *tx) putRule(c *storev1.PutRule) (Result, error) {
	r := proto.CloneOf(c.GetRule())
	if r == nil {
		return Result{}, &InvalidError{Field: "rule", Reason: "is required"}
	}
	r.Realization, r.Author = nil, ""
	if t.meaning >= meaningOverlay {
		r.Author = t.author
	}
	if err := firstError(checkKey("uuid", r.GetUuid()), t.checkPlace(r)); err != nil {
		return Result{}, err
	}
	switch c.GetMode() {
	case storev1.PutMode_PUT_MODE_CREATE:
		return t.createRule(r)
	case storev1.PutMode_PUT_MODE_UPDATE:
		return t.updateRule(r)
	case storev1.PutMode_PUT_MODE_REPLACE:
		return t.replaceRule(r)
	}
	return Result{}, &InvalidError{Field: "mode", Value: c.GetMode().String(), Reason: "must be CREATE, UPDATE or REPLACE"}
}

// checkPlace refuses a rule that names no place, two, or one that is not
// known.
func (t *tx) checkPlace(r *poolwirev1.Rule) error {
	vif, network := r.GetVifUuid(), r.GetNetworkUuid()
	switch {
	case vif == "" && network == "":
		return &InvalidError{Field: "network_uuid", Reason: "or vif_uuid is required"}
	case vif != "" && network != "":
		return &InvalidError{Field: "network_uuid", Value: network, Reason: "must be empty when vif_uuid is set"}
	case vif != "" && r.GetMac() != "":
		return &InvalidError{Field: "mac", Value: r.GetMac(), Reason: "must be empty when vif_uuid is set"}
	case vif != "" && t.Vif(vif) == nil:
		return &InvalidError{Field: "vif_uuid", Value: vif, Reason: "names no VIF"}
	case network != "" && t.Network(network) == nil && t.PrivateNetwork(network) == nil:
		return &InvalidError{Field: "network_uuid", Value: network, Reason: "names no network and no private network"}
	}
	return nil
}

func (t *tx) createRule(r *poolwirev1.Rule) (Result, error) {
	if t.Rule(r.GetUuid()) != nil {
		return Result{}, &ExistsError{Kind: KindRule, Field: "uuid", Value: r.GetUuid(), By: r.GetUuid()}
	}
	if same := t.RuleByIdentity(r); same != nil {
		return Result{}, identityTaken(r, same)
	}
	t.put(TableRules, r)
	return wrote(r.GetUuid()), nil
}

func (t *tx) updateRule(r *poolwirev1.Rule) (Result, error) {
	old := t.Rule(r.GetUuid())
	if old == nil {
		return Result{}, &NotFoundError{Kind: KindRule, ID: r.GetUuid()}
	}
	if err := checkEtag(KindRule, r.GetUuid(), old.GetEtag(), r.GetEtag()); err != nil {
		return Result{}, err
	}
	if err := firstError(checkUnchanged("vif_uuid", old.GetVifUuid(), r.GetVifUuid()),
		checkUnchanged("network_uuid", old.GetNetworkUuid(), r.GetNetworkUuid()),
		checkUnchanged("mac", old.GetMac(), r.GetMac())); err != nil {
		return Result{}, err
	}
	if same := t.RuleByIdentity(r); same != nil && same.GetUuid() != r.GetUuid() {
		return Result{}, identityTaken(r, same)
	}
	keepAuthor(r, old)
	t.put(TableRules, r)
	return wrote(r.GetUuid()), nil
}

// keepAuthor leaves a rule that stays as it is with who made it.
func keepAuthor(r, old *poolwirev1.Rule) {
	now, was := proto.CloneOf(r), proto.CloneOf(old)
	for _, x := range []*poolwirev1.Rule{now, was} {
		x.Author, x.Etag, x.ObjectId, x.CreateTime = "", "", 0, nil
	}
	if proto.Equal(now, was) {
		r.Author = old.GetAuthor()
	}
}

// replaceRule puts a rule in the place of those with its identity or its
// cookie. Adding a rule that is there already, alike in everything, changes
// nothing and answers with the stored rule.
func (t *tx) replaceRule(r *poolwirev1.Rule) (Result, error) {
	if t.Rule(r.GetUuid()) != nil {
		return Result{}, &ExistsError{Kind: KindRule, Field: "uuid", Value: r.GetUuid(), By: r.GetUuid()}
	}
	same := t.RuleByIdentity(r)
	switch {
	case same == nil && r.GetEtag() != "":
		return Result{}, &NotFoundError{Kind: KindRule, ID: r.GetUuid()}
	case same != nil:
		if err := checkEtag(KindRule, same.GetUuid(), same.GetEtag(), r.GetEtag()); err != nil {
			return Result{}, err
		}
	}
	var gone []*poolwirev1.Rule
	for _, other := range t.RulesByCookie(r.GetCookie()) {
		if samePlace(other, r) && other.GetUuid() != same.GetUuid() {
			gone = append(gone, other)
		}
	}
	res := Result{}
	if same != nil && alike(same, r) {
		res.UUIDs = []string{same.GetUuid()}
	} else {
		if same != nil {
			gone = append([]*poolwirev1.Rule{same}, gone...)
		}
		res.UUIDs = []string{r.GetUuid()}
	}
	for _, g := range gone {
		t.del(TableRules, g.GetUuid())
		res.Replaced = append(res.Replaced, g.GetUuid())
	}
	if res.UUIDs[0] == r.GetUuid() {
		t.put(TableRules, r)
	}
	return res, nil
}

// alike says whether two rules of one identity say the same.
func alike(a, b *poolwirev1.Rule) bool {
	return a.GetAllow() == b.GetAllow() && (a.Priority == nil) == (b.Priority == nil) &&
		a.GetPriority() == b.GetPriority() && a.GetCookie() == b.GetCookie()
}

func identityTaken(r, by *poolwirev1.Rule) error {
	value := r.GetDirection().String() + " " + r.GetIpRange() + " " + r.GetProtocol().String()
	if r.Port != nil {
		value += " " + strconv.FormatUint(uint64(r.GetPort()), 10)
	}
	return &ExistsError{Kind: KindRule, Field: "identity", Value: value, By: by.GetUuid()}
}

// deleteRules removes rules; the result names those that were there.
func (t *tx) deleteRules(c *storev1.DeleteRules) (Result, error) {
	if c.GetEtag() != "" {
		if len(c.GetUuids()) != 1 {
			return Result{}, &InvalidError{Field: "etag", Value: c.GetEtag(), Reason: "needs exactly one rule"}
		}
		uuid := c.GetUuids()[0]
		r := t.Rule(uuid)
		if r == nil {
			return Result{}, &NotFoundError{Kind: KindRule, ID: uuid}
		}
		if err := checkEtag(KindRule, uuid, r.GetEtag(), c.GetEtag()); err != nil {
			return Result{}, err
		}
	}
	var rules []*poolwirev1.Rule
	for _, uuid := range c.GetUuids() {
		if r := t.Rule(uuid); r != nil && !slices.Contains(rules, r) {
			rules = append(rules, r)
		}
	}
	t.dropRules(rules)
	var res Result
	for _, r := range rules {
		res.UUIDs = append(res.UUIDs, r.GetUuid())
		t.tidyVif(r.GetVifUuid())
		t.tidyNetwork(r.GetNetworkUuid())
	}
	return res, nil
}

// dropRules removes rules, and nothing that hung on them.
func (t *tx) dropRules(rules []*poolwirev1.Rule) {
	for _, r := range rules {
		t.del(TableRules, r.GetUuid())
	}
}
