package northbound

import (
	"context"
	"encoding/hex"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// FuzzToken reads what may be a token: what is one is written as it was read.
func FuzzToken(f *testing.F) {
	secret := make([]byte, secretBytes)
	good := formToken("00112233aabbccdd", secret)
	for _, header := range []string{"Bearer " + good, "bEARER  \t" + good + " ", "Bearer", "Basic " + good, "Bearer " + good[:len(good)-1], "Bearer " + good + "0", "Bearer pwt__", "Bearer " + strings.ToUpper(good)} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		id, sum, ok := parseToken(header)
		if !ok {
			return
		}
		at := strings.Index(header, tokenPrefix+id+"_")
		if at < 0 || len(id) != 2*tokenIDBytes {
			t.Fatalf("the token %q is not in %q", id, header)
		}
		digits := header[at+len(tokenPrefix+id+"_"):][:2*secretBytes]
		secret, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		if again, same, ok := parseToken("Bearer " + formToken(id, secret)); !ok || again != id || same != sum {
			t.Errorf("%q is read as another token when it is written again", header)
		}
	})
}

// FuzzAuthorization calls with whatever headers: nobody but who has the whole token is let in, and with nothing beside it.
func FuzzAuthorization(f *testing.F) {
	w := newWorld(f)
	server := newServer(f, serverConfig(w.store, w.live))
	id, token := w.token("ui", nil)
	_, digits, _ := strings.Cut(strings.TrimPrefix(token, tokenPrefix), "_")
	for _, headers := range [][2]string{
		{"Bearer " + token, ""}, {"bearer   " + token, ""}, {"Bearer " + token, "Bearer " + token}, {"Bearer " + token[:len(token)-1] + "x", ""},
		{"Bearer " + tokenPrefix + id + "_" + strings.ToUpper(digits), ""}, {"Bearer pwt_\x00_", ""}, {"Basic cm9vdDpyb290", ""}, {token, ""},
	} {
		f.Add(headers[0], headers[1])
	}
	calls := 0
	f.Fuzz(func(t *testing.T, one, two string) {
		// Each call is from somewhere else: one address is not believed for a while after some wrong tokens.
		calls++
		at := &net.TCPAddr{IP: net.IPv4(10, byte(calls>>16), byte(calls>>8), byte(calls)), Port: 1}
		headers := []string{one}
		if two != "" {
			headers = append(headers, two)
		}
		ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: at, AuthInfo: credentials.TLSInfo{}})
		who, err := server.identify(metadata.NewIncomingContext(ctx, metadata.MD{tokenKey: headers}))
		scheme, text, _ := strings.Cut(one, " ")
		rest, right := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix+id+"_")
		right = right && strings.EqualFold(scheme, "Bearer") && strings.EqualFold(rest, digits) && len(rest) == len(digits) && len(headers) == 1
		switch {
		case right != (err == nil):
			t.Errorf("%q: %v", headers, err)
		case err == nil && (who.Name != "ui" || who.Role != RoleNone || who.Credential != credentialToken+id):
			t.Errorf("%q is %+v", headers, who)
		case err != nil && (status.Code(err) != codes.Unauthenticated || strings.Contains(err.Error(), digits)):
			t.Errorf("%q: %v", headers, err)
		}
	})
}
