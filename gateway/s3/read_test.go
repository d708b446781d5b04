package s3

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	whole := Range{-1, -1}
	for _, tc := range []struct {
		header string
		size   int64
		want   Range // whole: the header is ignored
		err    error
	}{
		{"", 10, whole, nil},
		{"bytes=0-0", 10, Range{0, 1}, nil},
		{"bytes=0-9", 10, Range{0, 10}, nil},
		{"bytes=0-", 10, Range{0, 10}, nil},
		{"bytes=9-", 10, Range{9, 1}, nil},
		{"bytes=2-100", 10, Range{2, 8}, nil},
		{"bytes=-3", 10, Range{7, 3}, nil},
		{"bytes=-100", 10, Range{0, 10}, nil},
		{"Bytes=1-2", 10, Range{1, 2}, nil},
		{"bytes= 1-2 ", 10, Range{1, 2}, nil},
		{"bytes=10-", 10, Range{}, ErrInvalidRange},
		{"bytes=10-20", 10, Range{}, ErrInvalidRange},
		{"bytes=-0", 10, Range{}, ErrInvalidRange},
		{"bytes=0-", 0, Range{}, ErrInvalidRange},
		{"bytes=-1", 0, Range{}, ErrInvalidRange},
		{"bytes=0-99999999999999999999999999", 10, Range{0, 10}, nil},
		{"bytes=0-9223372036854775807", 5 << 40, Range{0, 5 << 40}, nil},
		{"bytes=99999999999999999999999999-", 10, Range{}, ErrInvalidRange},
		{"bytes=9223372036854775807-9223372036854775807", 10, Range{}, ErrInvalidRange},
		{"bytes=-99999999999999999999999999", 10, Range{0, 10}, nil},
		{"bytes=5-2", 10, whole, nil},
		{"bytes=0-1,3-4", 10, whole, nil},
		{"bytes=" + strings.Repeat("0-1,", 999) + "2-3", 10, whole, nil},
		{"bytes=", 10, whole, nil},
		{"bytes=-", 10, whole, nil},
		{"bytes=a-b", 10, whole, nil},
		{"bytes=+1-2", 10, whole, nil},
		{"bytes=1-+2", 10, whole, nil},
		{"bytes=--1", 10, whole, nil},
		{"bytes=0x1-2", 10, whole, nil},
		{"bytes 0-1", 10, whole, nil},
		{"items=0-1", 10, whole, nil},
	} {
		got, ok, err := ParseRange(tc.header, tc.size)
		if !ok {
			got = whole
			if tc.err != nil {
				got = Range{}
			}
		}
		if got != tc.want || !errors.Is(err, tc.err) || ok && err != nil {
			t.Errorf("%q of %d: got %+v, %v, %v, want %+v, %v", tc.header, tc.size, got, ok, err, tc.want, tc.err)
		}
	}
	for _, tc := range []struct {
		header string
		want   Range
		err    error
	}{{"bytes=0-9", Range{0, 10}, nil}, {"bytes=3-3", Range{3, 1}, nil}, {"bytes=0-10", Range{}, ErrInvalidRange}, {"bytes=5-", Range{}, ErrInvalidArgument}, {"bytes=-5", Range{}, ErrInvalidArgument},
		{"bytes=4-3", Range{}, ErrInvalidArgument}, {"0-9", Range{}, ErrInvalidArgument}, {"", Range{}, ErrInvalidArgument}, {"bytes=0-1,2-3", Range{}, ErrInvalidArgument}} {
		if got, err := ParseCopyRange(tc.header, 10); got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("copy of %q: got %+v, %v", tc.header, got, err)
		}
	}
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-0", int64(1))
	f.Add("bytes=-99999999999999999999", int64(5<<40))
	f.Add("bytes=9223372036854775807-", int64(0))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 || size > 5<<40 {
			t.Skip()
		}
		r, ok, err := ParseRange(header, size)
		if ok && (err != nil || r.Offset < 0 || r.Length < 1 || r.Offset+r.Length > size) {
			t.Errorf("%q of %d: %+v, %v", header, size, r, err)
		}
		if r, err := ParseCopyRange(header, size); err == nil && (r.Offset < 0 || r.Length < 1 || r.Offset+r.Length > size) {
			t.Errorf("copy: %q of %d: %+v", header, size, r)
		}
	})
}

// TestConditions is the table of GetObject's documentation and RFC 9110, 13.2.2.
func TestConditions(t *testing.T) {
	t.Parallel()
	const etag = "abc"
	modified := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	same, before, after := "Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 03:04:04 GMT", "Fri, 02 Jan 2026 03:04:06 GMT"
	for _, tc := range []struct {
		name    string
		headers []string
		want    error
	}{
		{"none", nil, nil},
		{"match", []string{"If-Match", `"abc"`}, nil},
		{"match without quotes", []string{"If-Match", `abc`}, nil},
		{"match of any", []string{"If-Match", `*`}, nil},
		{"match in a list", []string{"If-Match", `"x", "abc"`}, nil},
		{"match in a second header", []string{"If-Match", `"x"`, "If-Match", `"abc"`}, nil},
		{"no match", []string{"If-Match", `"x"`}, ErrPreconditionFailed},
		{"none match", []string{"If-None-Match", `"x"`}, nil},
		{"none match fails", []string{"If-None-Match", `"abc"`}, ErrNotModified},
		{"none match weak", []string{"If-None-Match", `W/"abc"`}, ErrNotModified},
		{"none match of any", []string{"If-None-Match", `*`}, ErrNotModified},
		{"modified since before", []string{"If-Modified-Since", before}, nil},
		{"modified since the same second", []string{"If-Modified-Since", same}, ErrNotModified},
		{"modified since after", []string{"If-Modified-Since", after}, ErrNotModified},
		{"unmodified since before", []string{"If-Unmodified-Since", before}, ErrPreconditionFailed},
		{"unmodified since the same second", []string{"If-Unmodified-Since", same}, nil},
		{"unmodified since after", []string{"If-Unmodified-Since", after}, nil},
		{"match overrules unmodified since", []string{"If-Match", `"abc"`, "If-Unmodified-Since", before}, nil},
		{"none match overrules modified since", []string{"If-None-Match", `"x"`, "If-Modified-Since", after}, nil},
		{"none match fails although modified", []string{"If-None-Match", `"abc"`, "If-Modified-Since", before}, ErrNotModified},
		{"match fails before none match", []string{"If-Match", `"x"`, "If-None-Match", `"abc"`}, ErrPreconditionFailed},
		{"no date", []string{"If-Modified-Since", "yesterday", "If-Unmodified-Since", "tomorrow"}, nil},
	} {
		h, copyHeaders := http.Header{}, http.Header{}
		for i := 0; i < len(tc.headers); i += 2 {
			h.Add(tc.headers[i], tc.headers[i+1])
			copyHeaders.Add("X-Amz-Copy-Source-"+tc.headers[i], tc.headers[i+1])
		}
		c := ParseConditions(h)
		if err := c.EvaluateRead(etag, modified); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
		c = ParseCopyConditions(copyHeaders)
		want := tc.want
		if want != nil {
			want = ErrPreconditionFailed
		}
		if err := c.EvaluateCopy(etag, modified); !errors.Is(err, want) {
			t.Errorf("copy, %s: got %v, want %v", tc.name, err, want)
		}
		if c.IsZero() != (tc.headers == nil || tc.name == "no date") {
			t.Errorf("%s: IsZero = %v", tc.name, c.IsZero())
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"abc": true, "a1b": true, "0ab": true, "my-bucket": true, "my_bucket": true, "my.bucket.eu": true, strings.Repeat("a", 63): true, "1.2.3": true, "1.2.3.4.5": true, "1a.2.3.4": true,
		"a--b": true, "ab": false, "": false, strings.Repeat("a", 64): false, "Abc": false, "a b": false, "-ab": false, "ab-": false, ".ab": false, "ab.": false, "a..b": false, "a.-b": false, "a-.b": false,
		"_ab": false, "ab_": false, "a/b": false, "a%2fb": false, "ä-b": false, "a\x00b": false, "192.168.1.1": false, "1.2.3.4": false, "999.1.1.1": false, "xn--abc": false, "sthree-x": false,
		"abc-s3alias": false, "abc--ol-s3": false, "abc--x-s3": false, "abc.mrap": false, "..": false, "../": false,
	} {
		if err := CheckBucketName(name); (err == nil) != ok || err != nil && !errors.Is(err, ErrInvalidBucketName) {
			t.Errorf("bucket %q: %v", name, err)
		}
	}
	for key, want := range map[string]error{
		"a": nil, "..": nil, "../x": nil, "a/../../b": nil, "//": nil, "/": nil, `\`: nil, "\x00": nil, "\x01\x1f": nil, "a b\n": nil, "%2e": nil, strings.Repeat("k", 1024): nil,
		strings.Repeat("ä", 512): nil, strings.Repeat("k", 1025): ErrKeyTooLong, strings.Repeat("ä", 513): ErrKeyTooLong, "": ErrInvalidURI, "\xff": ErrInvalidURI, "a\xc3": ErrInvalidURI, "\xed\xa0\x80": ErrInvalidURI,
	} {
		if err := CheckKey(key); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("key %q: got %v, want %v", key, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	special := ErrNoSuchKey.With("another message")
	if !errors.Is(special, ErrNoSuchKey) || errors.Is(special, ErrNoSuchBucket) || special.Status != 404 || ErrNoSuchKey.Message == "another message" {
		t.Errorf("got %+v", special)
	}
	if e, ok := errors.AsType[*Error](errors.Join(errors.New("x"), special)); !ok || e != special {
		t.Errorf("AsType gave %v", e)
	}
}
