package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// fakeTokens makes tokens and remembers those that are in force.
type fakeTokens struct {
	poolwirev1.UnimplementedTokenServiceServer
	made, inForce int
	// making is called while a token is made; nil for none.
	making func()
}

func (f *fakeTokens) CreateToken(context.Context, *poolwirev1.CreateTokenRequest) (*poolwirev1.CreateTokenResponse, error) {
	if f.making != nil {
		f.making()
	}
	f.made++
	f.inForce++
	return &poolwirev1.CreateTokenResponse{Secret: "pwt_id_secret", Token: &poolwirev1.Token{Id: "id", Owner: "shop", ExpireTime: timestamppb.New(time.Unix(2e9, 0))}}, nil
}

func (f *fakeTokens) DeleteToken(context.Context, *poolwirev1.DeleteTokenRequest) (*poolwirev1.DeleteTokenResponse, error) {
	f.inForce--
	return &poolwirev1.DeleteTokenResponse{}, nil
}

// create runs token create.
func (f *fakeTokens) create(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	poolwirev1.RegisterTokenServiceServer(s, f)
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	var o, e bytes.Buffer
	code = newApp(Streams{Out: &o, Err: &e}, nil).main(t.Context(), append([]string{"--socket", socket, "token", "create"}, args...))
	return code, o.String(), e.String()
}

// A token goes to a file that nobody else can read, whatever the umask, and then nowhere else; it is one that --token-file takes.
func TestTokenIsWrittenToNewFile(t *testing.T) {
	t.Parallel()
	for _, output := range []string{"table", "json"} {
		f := &fakeTokens{}
		file := filepath.Join(t.TempDir(), "shop.token")
		code, out, errs := f.create(t, "--file", file, "-o", output)
		if code != exitOK || strings.Contains(out+errs, "secret") || !strings.Contains(out, "shop") {
			t.Errorf("%s: exit %d %q %q", output, code, out, errs)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		flags := globalFlags{tokenFile: file}
		if got, err := flags.token(); got != "pwt_id_secret" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if code, out, errs := (&fakeTokens{}).create(t); code != exitOK || out != "pwt_id_secret\n" || !strings.Contains(errs, "token id of shop") {
		t.Errorf("without a file: exit %d %q %q", code, out, errs)
	}
}

// What is there is not replaced, and no token is left in force that nobody has.
func TestTokenReplacesNoFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	write := func() {
		if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
			t.Error(err)
		}
	}
	for name, tc := range map[string]struct {
		f    *fakeTokens
		file string
	}{
		"there before":        {&fakeTokens{}, file},
		"made meanwhile":      {&fakeTokens{making: write}, file},
		"no such directory":   {&fakeTokens{}, filepath.Join(file+".d", "token")},
		"name of a directory": {&fakeTokens{}, filepath.Dir(file)},
	} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if tc.f.making == nil {
			write()
		}
		code, out, errs := tc.f.create(t, "--file", tc.file)
		if code != exitUsage || !strings.Contains(errs, fmt.Sprintf("--file %q: ", tc.file)) || strings.Contains(out+errs, "secret") {
			t.Errorf("%s: exit %d %q %q", name, code, out, errs)
		}
		if early := tc.f.making == nil && name != "no such directory"; tc.f.inForce != 0 || early != (tc.f.made == 0) {
			t.Errorf("%s: %d made, %d in force", name, tc.f.made, tc.f.inForce)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != "old" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
