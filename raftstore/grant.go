package raftstore

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"regexp"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Bounds of tokens and grants.
const (
	maxTokenLife = 366 * 24 * time.Hour
	maxTokens    = 10_000
	maxGrants    = 10_000
	// Nobody uses up what is there for all: tokens in force of one owner, and grants within one pool, which its own
	// administrators give.
	maxTokensOfOwner = 50
	maxGrantsOfPool  = 1000
)

// Grants returns all grants.
func (v *View) Grants() []*poolwirev1.Grant { return all[*poolwirev1.Grant](v, TableGrants) }

// Grant returns a grant by UUID.
func (v *View) Grant(uuid string) *poolwirev1.Grant {
	return get[*poolwirev1.Grant](v, TableGrants, uuid)
}

// GrantsOf returns what has been granted to a name.
func (v *View) GrantsOf(principal string) []*poolwirev1.Grant {
	return list[*poolwirev1.Grant](v, TableGrants, indexOwner, indexKey(principal))
}

// Tokens returns all tokens.
func (v *View) Tokens() []*storev1.Token { return all[*storev1.Token](v, TableTokens) }

// Token returns a token by id, also one that has expired.
func (v *View) Token(id string) *storev1.Token { return get[*storev1.Token](v, TableTokens, id) }

// grantScope is the object that a grant is for; nothing for the cluster.
func grantScope(g *poolwirev1.Grant) []string {
	switch {
	case g.GetPoolUuid() != "":
		return []string{g.GetPoolUuid()}
	case g.GetNetworkUuid() != "":
		return []string{g.GetNetworkUuid()}
	}
	return nil
}

// A name as certificates have it.
var principalPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

func checkPrincipal(field, name string) error {
	if principalPattern.MatchString(name) {
		return nil
	}
	return &InvalidError{Field: field, Value: clip(name), Reason: "must be 1 to 64 letters, digits, '.', '_', '@' or '-', the first a letter or digit"}
}

func checkRole(role poolwirev1.Role) error {
	if role < poolwirev1.Role_ROLE_UNSPECIFIED || role > poolwirev1.Role_ROLE_POOL_ADMIN {
		return &InvalidError{Field: "role", Value: role.String(), Reason: "is no role"}
	}
	return nil
}

// checkReach checks what a grant or a token is for.
func (t *tx) checkReach(pool, network string) error {
	switch {
	case pool != "" && network != "":
		return &InvalidError{Field: "network_uuid", Value: clip(network), Reason: "must be empty beside pool_uuid: either one"}
	case pool != "" && t.Pool(pool) == nil:
		return &NotFoundError{Kind: KindPool, ID: clip(pool)}
	case network != "" && t.Network(network) == nil && t.PrivateNetwork(network) == nil:
		return &NotFoundError{Kind: KindNetwork, ID: clip(network)}
	}
	return nil
}

// putGrant gives a role. The same one is not given twice.
func (t *tx) putGrant(c *storev1.PutGrant) (Result, error) {
	g := proto.CloneOf(c.GetGrant())
	if g == nil || g.GetRole() == poolwirev1.Role_ROLE_UNSPECIFIED {
		return Result{}, &InvalidError{Field: "role", Reason: "is required"}
	}
	if err := firstError(checkKey("uuid", g.GetUuid()), checkPrincipal("principal", g.GetPrincipal()), checkRole(g.GetRole()),
		t.checkReach(g.GetPoolUuid(), g.GetNetworkUuid())); err != nil {
		return Result{}, err
	}
	for _, have := range t.GrantsOf(g.GetPrincipal()) {
		if have.GetRole() == g.GetRole() && have.GetPoolUuid() == g.GetPoolUuid() && have.GetNetworkUuid() == g.GetNetworkUuid() {
			return wrote(have.GetUuid()), nil
		}
	}
	if t.Grant(g.GetUuid()) != nil {
		return Result{}, &ExistsError{Kind: KindGrant, Field: "uuid", Value: g.GetUuid(), By: g.GetUuid()}
	}
	if n := len(t.Grants()); n >= maxGrants {
		return Result{}, &PreconditionError{Kind: KindCluster, ID: t.ClusterUUID(), Reason: fmt.Sprintf("there are %d grants already", n)}
	}
	if err := t.checkPoolShare(g); err != nil {
		return Result{}, err
	}
	g.CreateTime, g.Author = t.time, t.author
	t.put(TableGrants, g)
	return wrote(g.GetUuid()), nil
}

// checkPoolShare refuses a grant within a pool that has many.
func (t *tx) checkPoolShare(g *poolwirev1.Grant) error {
	pool := t.poolOfGrant(g)
	if pool == "" {
		return nil
	}
	n := 0
	for _, have := range t.Grants() {
		if t.poolOfGrant(have) == pool {
			n++
		}
	}
	if n >= maxGrantsOfPool {
		return &PreconditionError{Kind: KindPool, ID: pool, Reason: fmt.Sprintf("there are %d grants within it already", n)}
	}
	return nil
}

// poolOfGrant is the pool that a grant is within: that of a network, of a private one that of its first member. Empty for none.
func (t *tx) poolOfGrant(g *poolwirev1.Grant) string {
	if g.GetNetworkUuid() == "" {
		return g.GetPoolUuid()
	}
	if n := t.Network(g.GetNetworkUuid()); n != nil {
		return n.GetPoolUuid()
	}
	for _, m := range t.PrivateNetwork(g.GetNetworkUuid()).GetMembers() {
		return cmp.Or(m.GetPoolUuid(), t.Host(m.GetHostUuid()).GetPoolUuid())
	}
	return ""
}

func (t *tx) deleteGrant(c *storev1.Delete) (Result, error) {
	if t.Grant(c.GetUuid()) == nil {
		return Result{}, &NotFoundError{Kind: KindGrant, ID: clip(c.GetUuid())}
	}
	t.del(TableGrants, c.GetUuid())
	return wrote(c.GetUuid()), nil
}

// dropGrants takes away the grants for an object that is gone, and the tokens that were good for nothing else.
func (t *tx) dropGrants(scope string) {
	for _, g := range list[*poolwirev1.Grant](&t.View, TableGrants, indexScope, indexKey(scope)) {
		t.del(TableGrants, g.GetUuid())
	}
	for _, k := range t.Tokens() {
		if k.GetToken().GetPoolUuid() == scope || k.GetToken().GetNetworkUuid() == scope {
			t.del(TableTokens, k.GetToken().GetId())
		}
	}
}

// putToken records a token, and forgets those that have expired.
func (t *tx) putToken(c *storev1.PutToken) (Result, error) {
	k := proto.CloneOf(c.GetToken())
	if k.GetToken() == nil {
		return Result{}, &InvalidError{Field: "token", Reason: "is required"}
	}
	m := k.GetToken()
	if err := firstError(checkKey("id", m.GetId()), checkPrincipal("owner", m.GetOwner()), checkDescription(m.GetNote()), checkRole(m.GetRole()),
		t.checkReach(m.GetPoolUuid(), m.GetNetworkUuid())); err != nil {
		return Result{}, err
	}
	if err := t.settleMadeWith(m, c.GetMadeWithToken()); err != nil {
		return Result{}, err
	}
	end := m.GetExpireTime()
	switch {
	case t.Token(m.GetId()) != nil:
		return Result{}, &ExistsError{Kind: KindToken, Field: "id", Value: m.GetId(), By: m.GetId()}
	case len(k.GetSecretSha256()) != sha256.Size:
		return Result{}, &InvalidError{Field: "secret_sha256", Reason: "must have 32 bytes"}
	case end.CheckValid() != nil || !end.AsTime().After(t.time.AsTime()) || end.AsTime().Sub(t.time.AsTime()) > maxTokenLife:
		return Result{}, &InvalidError{Field: "expire_time", Value: end.AsTime().Format(time.RFC3339), Reason: "must be within 366 days"}
	}
	t.forgetTokens()
	if n := len(t.Tokens()); n >= maxTokens {
		return Result{}, &PreconditionError{Kind: KindCluster, ID: t.ClusterUUID(), Reason: fmt.Sprintf("there are %d tokens already", n)}
	}
	n := 0
	for _, have := range t.Tokens() {
		if have.GetToken().GetOwner() == m.GetOwner() {
			n++
		}
	}
	if n >= maxTokensOfOwner {
		return Result{}, &InvalidError{Field: "owner", Value: m.GetOwner(), Reason: fmt.Sprintf("has %d tokens already; revoke some that are not used", n)}
	}
	m.CreateTime, m.Author, m.LastUsed = t.time, t.author, (*timestamppb.Timestamp)(nil)
	t.put(TableTokens, k)
	return wrote(m.GetId()), nil
}

// settleMadeWith settles which certificate is behind a token, and refuses one that is made with what has been revoked since it was asked
// for: it would outlive the revocation. maker is the id of the token with which it is made; empty for none.
func (t *tx) settleMadeWith(m *poolwirev1.Token, maker string) error {
	if maker != "" {
		shown := t.Token(maker).GetToken()
		if shown == nil {
			return &PreconditionError{Kind: KindToken, ID: clip(maker), Reason: "has ended or was revoked, and makes no others"}
		}
		m.MadeWithIssuer, m.MadeWithSerial = shown.GetMadeWithIssuer(), shown.GetMadeWithSerial()
		return nil
	}
	issuer, serial := m.GetMadeWithIssuer(), m.GetMadeWithSerial()
	if len(serial) > maxSerial || len(issuer) > 2*sha256.Size {
		return &InvalidError{Field: "made_with_serial", Value: clip(serial), Reason: "is too long"}
	}
	if t.Certificate(issuer, serial).GetRevokeTime() != nil {
		return &PreconditionError{Kind: KindCertificate, ID: serial, Reason: "was revoked, and makes no tokens"}
	}
	return nil
}

// forgetTokens removes the tokens that are worth nothing any more.
func (t *tx) forgetTokens() {
	for _, k := range t.Tokens() {
		if !k.GetToken().GetExpireTime().AsTime().After(t.time.AsTime()) {
			t.del(TableTokens, k.GetToken().GetId())
		}
	}
}

func (t *tx) deleteToken(c *storev1.Delete) (Result, error) {
	if t.Token(c.GetUuid()) == nil {
		return Result{}, &NotFoundError{Kind: KindToken, ID: clip(c.GetUuid())}
	}
	t.del(TableTokens, c.GetUuid())
	return wrote(c.GetUuid()), nil
}
