package overlay

import "testing"

func TestInnerMTU(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		underlay int
		e        Encapsulation
		is6      bool
		sec      IPsec
		want     int
	}{
		{1500, VXLAN, false, IPsec{}, 1450}, {1500, Geneve, false, IPsec{}, 1450}, {1500, GRE, false, IPsec{}, 1458},
		{1500, VXLAN, true, IPsec{}, 1430}, {1500, GRE, true, IPsec{}, 1438}, {9000, VXLAN, false, IPsec{}, 8950}, {40, VXLAN, false, IPsec{}, 0},
	} {
		if got := InnerMTU(tt.underlay, tt.e, tt.is6, tt.sec); got != tt.want {
			t.Errorf("%d bytes, %s, IPv6 %t, %+v: %d, want %d", tt.underlay, tt.e, tt.is6, tt.sec, got, tt.want)
		}
		if !tt.sec.On && tt.want > 0 && Overhead(tt.e, tt.is6) != tt.underlay-tt.want {
			t.Errorf("%s, IPv6 %t: overhead %d", tt.e, tt.is6, Overhead(tt.e, tt.is6))
		}
	}
}

// TestESPFits builds the ESP packet around the largest inner packet, and around one a byte larger.
func TestESPFits(t *testing.T) {
	t.Parallel()
	esp := func(plain int, nat bool) int {
		n := plain + espTrailer
		n += (espAlign - n%espAlign) % espAlign
		n += espHeader + espIV + espICV
		if nat {
			n += udpHeader
		}
		return n
	}
	for underlay := 1280; underlay < 1600; underlay++ {
		for _, e := range []Encapsulation{VXLAN, GRE, Geneve} {
			for _, sec := range []IPsec{{On: true}, {On: true, NAT: true}} {
				inner := InnerMTU(underlay, e, false, sec)
				size := func(inner int) int { return outerIPv4 + esp(tunnelHeaders(e)+innerEthernet+inner, sec.NAT) }
				if size(inner) > underlay || size(inner+1) <= underlay {
					t.Fatalf("%d bytes, %s, %+v: %d, which makes packets of %d, one more %d", underlay, e, sec, inner, size(inner), size(inner+1))
				}
			}
		}
	}
}
