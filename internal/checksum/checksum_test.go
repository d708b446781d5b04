package checksum

import "testing"

func TestCRC32C(t *testing.T) {
	// RFC 3720, appendix B.4: 32 bytes of zeroes, and the usual check value of "123456789".
	if got := CRC32C(make([]byte, 32)); got != 0x8a9136aa {
		t.Errorf("zeroes: got %#x, want 0x8a9136aa", got)
	}
	if got := CRC32C([]byte("123456789")); got != 0xe3069283 {
		t.Errorf("check value: got %#x, want 0xe3069283", got)
	}
	if got := Update(CRC32C([]byte("1234")), []byte("56789")); got != 0xe3069283 {
		t.Errorf("in two steps: got %#x, want 0xe3069283", got)
	}
}
