package flowcompiler

import (
	"testing"

	"pgregory.net/rapid"
)

func TestCookieRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Cookie{Kind(rapid.Uint8().Draw(t, "kind")), rapid.Uint32().Draw(t, "object")}
		got, ok := ParseCookie(want.Encode())
		if !ok || got != want {
			t.Fatalf("%v came back as %v, %v", want, got, ok)
		}
	})
}

func TestCookieLayoutIsFixed(t *testing.T) {
	t.Parallel()
	if got := (Cookie{KindVIFRule, 0x12345678}).Encode(); got != 0x5005000012345678 {
		t.Errorf("cookie %#x", got)
	}
}

func TestCookiesOfOthersAreNotOurs(t *testing.T) {
	t.Parallel()
	for _, cookie := range []uint64{0, 1, 0x1f, 0x50, 0x0500000000000000, 0x5100000000000000, ^uint64(0)} {
		if _, ok := ParseCookie(cookie); ok || Own(cookie) || Ephemeral(cookie) {
			t.Errorf("%#x was taken for ours", cookie)
		}
	}
}

func TestOnlyLearnedFlowsAreEphemeral(t *testing.T) {
	t.Parallel()
	for _, k := range Kinds() {
		if got := Ephemeral(Cookie{k, 1}.Encode()); got != (k == KindLearned) {
			t.Errorf("%v: ephemeral %v", k, got)
		}
		if k.Object() == "" || k.String() == "" {
			t.Errorf("kind %d is not described", k)
		}
	}
}
