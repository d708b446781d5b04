package s3

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestChecksumValues: the check values of the algorithms' own definitions, for "123456789".
func TestChecksumValues(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a    ChecksumAlgorithm
		want string // hex
	}{
		{ChecksumCRC32, "cbf43926"},
		{ChecksumCRC32C, "e3069283"},
		{ChecksumCRC64NVME, "ae8b14860a799888"},
		{ChecksumSHA1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"},
		{ChecksumSHA256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"},
	} {
		c := SumChecksum(tc.a, []byte("123456789"))
		if got := fmt.Sprintf("%x", c.Value); got != tc.want || len(c.Value) != tc.a.Size() {
			t.Errorf("%v: got %s, want %s", tc.a, got, tc.want)
		}
		if a, ok := ChecksumOfHeader(tc.a.Header()); !ok || a != tc.a {
			t.Errorf("%s is %v", tc.a.Header(), a)
		}
		if a, err := ParseChecksumAlgorithm(tc.a.String()); err != nil || a != tc.a {
			t.Errorf("%s is %v, %v", tc.a, a, err)
		}
		back, parts, err := ParseChecksum(tc.a, c.Text(0))
		if err != nil || parts != 0 || string(back.Value) != string(c.Value) || back.Composite {
			t.Errorf("%v: %s is read as %+v, %d, %v", tc.a, c.Text(0), back, parts, err)
		}
	}
}

// TestCombine: the checksum of a whole from those of its parts is that of the bytes, for any cut and also for empty parts.
func TestCombine(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 100 {
		whole := make([]byte, rnd.IntN(3000))
		for j := range whole {
			whole[j] = byte(rnd.Uint32())
		}
		var cuts [][]byte
		for rest := whole; len(rest) > 0 || len(cuts) == 0; {
			n := rnd.IntN(len(rest) + 1)
			cuts, rest = append(cuts, rest[:n]), rest[n:]
		}
		for a := ChecksumCRC32; a <= ChecksumSHA256; a++ {
			var parts []PartChecksum
			var all []byte
			for _, c := range cuts {
				v := SumChecksum(a, c).Value
				parts = append(parts, PartChecksum{Value: v, Size: int64(len(c))})
				all = append(all, v...)
			}
			got, err := CombineChecksums(a, false, parts)
			if a.FullObject() {
				if err != nil || got.Composite || string(got.Value) != string(SumChecksum(a, whole).Value) {
					t.Fatalf("round %d, %v in %d parts: got %x, %v", i, a, len(parts), got.Value, err)
				}
			} else if !errors.Is(err, ErrInvalidRequest) {
				t.Fatalf("%v: FULL_OBJECT gave %v", a, err)
			}
			got, err = CombineChecksums(a, true, parts)
			if a == ChecksumCRC64NVME {
				if !errors.Is(err, ErrInvalidRequest) {
					t.Fatalf("%v: COMPOSITE gave %v", a, err)
				}
			} else if err != nil || !got.Composite || string(got.Value) != string(SumChecksum(a, all).Value) {
				t.Fatalf("round %d, composite %v: got %x, %v", i, a, got.Value, err)
			}
		}
	}
	// A terabyte of zeroes: lengths use all of their bits. CRC(0^2n) from CRC(0^n) twice must equal doubling step by step.
	f := newCRCField(uint64(nvmePolynomial))
	const block = 1 << 20
	one := newCRC64Of(make([]byte, block))
	doubled := one
	for size := int64(block); size < 1<<40; size *= 2 {
		doubled = f.combine(doubled, doubled, size)
	}
	if got := f.combine(doubled, one, block); got != f.combine(one, doubled, 1<<40) {
		t.Errorf("a terabyte and a block: %x against %x", got, f.combine(one, doubled, 1<<40))
	}
	if _, err := CombineChecksums(ChecksumCRC32, false, []PartChecksum{{Value: nil, Size: 1}}); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("a part without a value: %v", err)
	}
}

func newCRC64Of(b []byte) uint64 {
	var n uint64
	for _, c := range SumChecksum(ChecksumCRC64NVME, b).Value {
		n = n<<8 | uint64(c)
	}
	return n
}

func TestParseChecksum(t *testing.T) {
	t.Parallel()
	v := base64.StdEncoding.EncodeToString([]byte{1, 2, 3, 4})
	c, parts, err := ParseChecksum(ChecksumCRC32, v+"-17")
	if err != nil || parts != 17 || !c.Composite || c.Text(17) != v+"-17" || c.Type() != ChecksumComposite {
		t.Errorf("got %+v, %d, %v", c, parts, err)
	}
	for _, bad := range []string{"", v + "-", v + "-0", v + "-01", v + "-+1", v + "-10001", v + "-x", "AAA=", v + "\n", v + " ", "AQIDBB=="} {
		if c, _, err := ParseChecksum(ChecksumCRC32, bad); !errors.Is(err, ErrBadDigest) {
			t.Errorf("%q: got %+v, %v", bad, c, err)
		}
	}
	if _, _, err := ParseChecksum(ChecksumNone, ""); err == nil {
		t.Error("a checksum of no algorithm was read")
	}
}

func TestMultipartETag(t *testing.T) {
	t.Parallel()
	// md5 of the raw md5s of "a" and "b".
	got, err := MultipartETag([]string{"0cc175b9c0f1b6a831c399e269772661", "92eb5ffee6ae2fec3ad71c777531578f"})
	if err != nil || got != "96e024ba2074fe77e8e965ba43a704be-2" {
		t.Errorf("got %s, %v", got, err)
	}
	for _, bad := range []string{"", "x", "0cc175b9c0f1b6a831c399e26977266z", "0cc175b9c0f1b6a831c399e269772661-1"} {
		if _, err := MultipartETag([]string{bad}); !errors.Is(err, ErrInvalidPart) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for in, want := range map[string]string{`"x"`: "x", "x": "x", `W/"x"`: "x", ` "x" `: "x", `"`: `"`, "": "", `""`: ""} {
		if got := TrimETag(in); got != want {
			t.Errorf("TrimETag(%q) = %q, want %q", in, got, want)
		}
	}
}
