package northbound

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// tokenService implements poolwire.v1.TokenService. How tokens are checked is in bearer.go.
type tokenService struct {
	v1.UnsafeTokenServiceServer
	*Server
}

// How long tokens are good for.
const (
	minTokenLife     = time.Minute
	maxTokenLife     = 366 * 24 * time.Hour
	defaultTokenLife = 30 * 24 * time.Hour
)

// putToken records a token; maker is the id of the one with which it is made, empty for none.
func putToken(t *storev1.Token, maker string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutToken{PutToken: &storev1.PutToken{Token: t, MadeWithToken: maker}}}
}

func deleteToken(id string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteToken{DeleteToken: &storev1.Delete{Uuid: id}}}
}

// tokensOf tells whose tokens a caller may have to do with: all, or those of a name.
func tokensOf(ctx context.Context, v *raftstore.View) (name string, all bool) {
	return callOf(ctx).who.Name, rightsIn(ctx, v).role >= RolePoolAdmin
}

// CreateToken makes a token. The secret is in the answer and nowhere else.
func (s *tokenService) CreateToken(ctx context.Context, req *v1.CreateTokenRequest) (*v1.CreateTokenResponse, error) {
	life, err := tokenLife(req)
	if err != nil {
		return nil, err
	}
	var random [tokenIDBytes + secretBytes]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	id, secret := hex.EncodeToString(random[:tokenIDBytes]), random[tokenIDBytes:]
	sum := sha256.Sum256(secret)
	res, err := s.write(ctx, mutation{asked: once{unrepeatable{req}}, resource: "token", probe: putToken(nil, ""),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			t := proto.CloneOf(req.GetToken())
			if t == nil {
				t = &v1.Token{}
			}
			name, all := tokensOf(ctx, v.Whole())
			if t.Owner == "" {
				if callOf(ctx).who.Credential == credentialSocket {
					return nil, missing("token.owner", "say who is to have it (--owner); root on the socket has no name that tokens could have")
				}
				t.Owner = name
			}
			maker, bearer := strings.CutPrefix(callOf(ctx).who.Credential, credentialToken)
			switch {
			case all:
			case t.GetOwner() != name:
				return nil, status.Errorf(codes.PermissionDenied, "only a pool-admin of the whole cluster makes tokens for others than himself")
			case bearer:
				return nil, status.Errorf(codes.PermissionDenied, "a token makes no tokens: it would outlive itself; use a certificate")
			}
			var err error
			if t.PoolUuid, t.NetworkUuid, err = scopeOf(v, "token", t.GetPoolUuid(), t.GetNetworkUuid()); err != nil {
				return nil, err
			}
			t.Id, t.ExpireTime = id, timestamppb.New(time.Now().Add(life))
			t.MadeWithIssuer, t.MadeWithSerial = s.madeWith(callOf(ctx).who)
			if !bearer {
				maker = ""
			}
			return putToken(&storev1.Token{Token: t, SecretSha256: sum[:]}, maker), nil
		}})
	if err != nil {
		return nil, err
	}
	return &v1.CreateTokenResponse{Token: s.cfg.Store.View().Token(id).GetToken(), Secret: formToken(id, secret), Revision: res.Revision}, nil
}

func tokenLife(req *v1.CreateTokenRequest) (time.Duration, error) {
	if req.GetLifetime() == nil {
		return defaultTokenLife, nil
	}
	d := req.GetLifetime().AsDuration()
	var bad violations
	if req.GetLifetime().CheckValid() != nil || d < minTokenLife || d > maxTokenLife {
		bad.at("lifetime").refuseNumber(d, "must be 1m to 366 days (8784h); the default is 30 days")
	}
	return d, bad.err()
}

// ListTokens returns what is known of tokens, expired ones included until the next one is made.
func (s *tokenService) ListTokens(ctx context.Context, req *v1.ListTokensRequest) (*v1.ListTokensResponse, error) {
	v, err := s.whole(ctx)
	if err != nil {
		return nil, err
	}
	name, all := tokensOf(ctx, v)
	out := &v1.ListTokensResponse{}
	for _, k := range v.Tokens() {
		t := proto.CloneOf(k.GetToken())
		if req.GetOwner() != "" && t.GetOwner() != req.GetOwner() || !all && t.GetOwner() != name {
			continue
		}
		if at, ok := s.tokenUse.of(t.GetId()); ok {
			// The minute of its use may have begun before it was made.
			if made := t.GetCreateTime().AsTime(); at.Before(made) {
				at = made
			}
			t.LastUsed = timestamppb.New(at)
		}
		out.Tokens = append(out.Tokens, t)
	}
	slices.SortFunc(out.Tokens, func(a, b *v1.Token) int {
		return cmp.Or(cmp.Compare(a.GetOwner(), b.GetOwner()), a.GetCreateTime().AsTime().Compare(b.GetCreateTime().AsTime()), cmp.Compare(a.GetId(), b.GetId()))
	})
	return out, nil
}

// DeleteToken revokes a token.
func (s *tokenService) DeleteToken(ctx context.Context, req *v1.DeleteTokenRequest) (*v1.DeleteTokenResponse, error) {
	res, err := s.write(ctx, mutation{asked: once{req}, resource: "token", probe: deleteToken(""),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			v = v.Whole()
			name, all := tokensOf(ctx, v)
			t := v.Token(req.GetId()).GetToken()
			if t == nil || !all && t.GetOwner() != name {
				return nil, unresolved("id", req.GetId(), "there is no token with this id; list the tokens to see those there are")
			}
			return deleteToken(t.GetId()), nil
		}})
	if err != nil {
		return nil, err
	}
	return &v1.DeleteTokenResponse{Revision: res.Revision}, nil
}
