package gateway

import (
	"encoding/hex"
	"slices"
	"testing"

	"ostor/gateway/s3"
)

// TestTagsFormat pins the bytes: name servers keep them for ever.
func TestTagsFormat(t *testing.T) {
	t.Parallel()
	tags := []s3.Tag{{Key: "color", Value: "blue"}, {Key: "é"}}
	b := encodeTags(tags)
	if got, want := hex.EncodeToString(b), "0105636f6c6f7204626c756502c3a900"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, err := decodeTags(b); err != nil || !slices.Equal(got, tags) {
		t.Errorf("got %v, %v", got, err)
	}
	for n := 1; n < len(b); n++ {
		if got, err := decodeTags(b[:n]); err == nil && len(got) >= len(tags) {
			t.Errorf("%d bytes decode to %v", n, got)
		}
	}
	if _, err := decodeTags([]byte{9}); err == nil {
		t.Error("an unknown format is read")
	}
}
