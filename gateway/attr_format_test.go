package gateway

import (
	"encoding/hex"
	"reflect"
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

// TestCORSFormat pins the bytes and reads what was cut off.
func TestCORSFormat(t *testing.T) {
	t.Parallel()
	age := int64(60)
	conf := &s3.CORSConfiguration{Rules: []s3.CORSRule{
		{ID: "a", Origins: []string{"*"}, Methods: []string{"GET"}, Headers: []string{"x"}, Expose: []string{"y"}, MaxAge: &age},
		{Origins: []string{"o"}, Methods: []string{"PUT"}},
	}}
	b := encodeCORS(conf)
	if got, want := hex.EncodeToString(b), "01016101012a01034745540101780101793d0001016f0103505554000000"; got != want {
		t.Errorf("got %s", got)
	}
	if got, err := decodeCORS(b); err != nil || !reflect.DeepEqual(got, conf) {
		t.Errorf("got %+v, %v", got, err)
	}
	for n := range b {
		if got, err := decodeCORS(b[:n]); err == nil && len(got.Rules) >= len(conf.Rules) {
			t.Errorf("%d bytes decode to %+v", n, got)
		}
	}
}

// TestBucketLockFormat pins the bytes.
func TestBucketLockFormat(t *testing.T) {
	t.Parallel()
	n := int64(300)
	for want, d := range map[string]*s3.DefaultRetention{"01000000000000": nil, "0101002c010000": {Mode: s3.Governance, Days: &n}, "0102012c010000": {Mode: s3.Compliance, Years: &n}} {
		b := encodeBucketLock(d)
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, err := decodeBucketLock(b); err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("%s: got %+v, %v", want, got, err)
		}
		if _, err := decodeBucketLock(b[1:]); err == nil {
			t.Errorf("%s: a part is read", want)
		}
	}
}
