package acl

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

const owner, bucketOwner, other = 0xa11ce, 0xb0b, 0xca401

// lists are encoded in testdata/golden/v1.
var lists = map[string]ACL{
	"empty":   {},
	"private": Private(owner),
	"every": {
		{Grantee{User, owner}, FullControl}, {Grantee{User, 1<<64 - 1}, Read}, {Grantee{User, 0}, WriteACP}, {Grantee{Kind: AllUsers}, Read},
		{Grantee{Kind: AuthenticatedUsers}, ReadACP}, {Grantee{Kind: LogDelivery}, Write},
	},
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, list := range lists {
		path := filepath.Join("testdata/golden/v1", name+".hex")
		got := hex.EncodeToString(list.Encode()) + "\n"
		if *rewrite {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: encoded as %s want %s", name, got, want)
		}
		b, err := hex.DecodeString(strings.TrimSpace(string(want)))
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(b)
		if err != nil || !slices.Equal(back, list) {
			t.Errorf("%s: decoded as %v, %v", name, back, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good := lists["every"].Encode()
	for name, change := range map[string]func(b []byte) []byte{
		"nothing":         func([]byte) []byte { return nil },
		"version 2":       func(b []byte) []byte { b[0] = 2; return b },
		"flag":            func(b []byte) []byte { b[1] = 1; return b },
		"short":           func(b []byte) []byte { return b[:len(b)-1] },
		"long":            func(b []byte) []byte { return append(b, 0) },
		"more than there": func(b []byte) []byte { b[2]++; return b },
		"kind 0":          func(b []byte) []byte { b[4] = 0; return b },
		"kind 5":          func(b []byte) []byte { b[4] = 5; return b },
		"permission 0":    func(b []byte) []byte { b[5] = 0; return b },
		"permission 6":    func(b []byte) []byte { b[5] = 6; return b },
		"group with user": func(b []byte) []byte { b[4] = byte(AllUsers); return b },
		"101 grants": func([]byte) []byte {
			b := append([]byte{1, 0, 101, 0}, bytes.Repeat(good[4:14], 101)...)
			return b
		},
	} {
		if a, err := Decode(change(bytes.Clone(good))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, %v", name, a, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, list := range lists {
		f.Add(list.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Decode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(a.Encode(), b) {
			t.Errorf("%x is encoded as %x", b, a.Encode())
		}
	})
}

// FuzzParseHeader reads any x-amz-grant-* header: every grantee that comes out has exactly one name.
func FuzzParseHeader(f *testing.F) {
	f.Add(`id="0000000000000b0b", emailAddress="a@b.c",uri=http://acs.amazonaws.com/groups/global/AllUsers`)
	f.Add(`id=""`)
	f.Add(`id=x,`)
	f.Fuzz(func(t *testing.T, v string) {
		named, err := ParseHeader(v)
		if (err == nil) == (len(named) == 0) || len(named) > MaxGrants {
			t.Fatalf("%q: %d grantees, error %v", v, len(named), err)
		}
		for _, n := range named {
			if names := len(strings.Fields(strings.Map(notSpace, n.ID) + " " + strings.Map(notSpace, n.Email) + " " + strings.Map(notSpace, n.URI))); names != 1 {
				t.Fatalf("%q: %+v", v, n)
			}
		}
	})
}

func notSpace(rune) rune { return 'x' }

func TestAllows(t *testing.T) {
	t.Parallel()
	callers := map[string]Caller{"owner": {User: owner, Authenticated: true}, "other": {User: other, Authenticated: true}, "anonymous": {}}
	list := func(k Kind, user uint64, p Permission) ACL { return ACL{{Grantee{k, user}, p}} }
	for _, tc := range []struct {
		name string
		list ACL
		want map[string][]Permission // the rest is refused
	}{
		{"nobody", nil, nil},
		{"private", Private(owner), map[string][]Permission{"owner": {Read, Write, ReadACP, WriteACP}}},
		{"read of other", list(User, other, Read), map[string][]Permission{"other": {Read}}},
		{"write of other", list(User, other, Write), map[string][]Permission{"other": {Write}}},
		{"acp of other", list(User, other, ReadACP), map[string][]Permission{"other": {ReadACP}}},
		{"all read", list(AllUsers, 0, Read), map[string][]Permission{"owner": {Read}, "other": {Read}, "anonymous": {Read}}},
		{"all full", list(AllUsers, 0, FullControl), map[string][]Permission{"owner": {Read, Write, ReadACP, WriteACP}, "other": {Read, Write, ReadACP, WriteACP}, "anonymous": {Read, Write, ReadACP, WriteACP}}},
		{"users write acp", list(AuthenticatedUsers, 0, WriteACP), map[string][]Permission{"owner": {WriteACP}, "other": {WriteACP}}},
		{"logs", list(LogDelivery, 0, FullControl), nil},
		{"user zero is not anonymous", list(User, 0, FullControl), nil},
	} {
		for who, c := range callers {
			for _, p := range []Permission{Read, Write, ReadACP, WriteACP} {
				if got, want := tc.list.Allows(c, p), slices.Contains(tc.want[who], p); got != want {
					t.Errorf("%s: %s has %s: got %v, want %v", tc.name, who, p, got, want)
				}
				c.PublicIgnored = true
				if tc.list.Public() && tc.list.Allows(c, p) {
					t.Errorf("%s: %s has %s though public grants are ignored", tc.name, who, p)
				}
				c.PublicIgnored = false
			}
		}
	}
}

func TestCanned(t *testing.T) {
	t.Parallel()
	own := Grant{Grantee{User, owner}, FullControl}
	for _, tc := range []struct {
		name           string
		bucket, object ACL // nil: unknown
		public         bool
	}{
		{"", ACL{own}, ACL{own}, false},
		{"private", ACL{own}, ACL{own}, false},
		{"public-read", ACL{own, {Grantee{Kind: AllUsers}, Read}}, ACL{own, {Grantee{Kind: AllUsers}, Read}}, true},
		{"public-read-write", ACL{own, {Grantee{Kind: AllUsers}, Read}, {Grantee{Kind: AllUsers}, Write}}, ACL{own, {Grantee{Kind: AllUsers}, Read}, {Grantee{Kind: AllUsers}, Write}}, true},
		{"authenticated-read", ACL{own, {Grantee{Kind: AuthenticatedUsers}, Read}}, ACL{own, {Grantee{Kind: AuthenticatedUsers}, Read}}, true},
		{"bucket-owner-read", ACL{own}, ACL{own, {Grantee{User, bucketOwner}, Read}}, false},
		{"bucket-owner-full-control", ACL{own}, ACL{own, {Grantee{User, bucketOwner}, FullControl}}, false},
		{"log-delivery-write", ACL{own, {Grantee{Kind: LogDelivery}, Write}, {Grantee{Kind: LogDelivery}, ReadACP}}, nil, false},
		{"aws-exec-read", nil, nil, false},
		{"Private", nil, nil, false},
	} {
		bucket, err := CannedBucket(tc.name, owner)
		if !slices.Equal(bucket, tc.bucket) || (err != nil) != (tc.bucket == nil) {
			t.Errorf("bucket %q: got %v, %v", tc.name, bucket, err)
		}
		object, err := CannedObject(tc.name, owner, bucketOwner)
		if !slices.Equal(object, tc.object) || (err != nil) != (tc.object == nil) {
			t.Errorf("object %q: got %v, %v", tc.name, object, err)
		}
		if bucket.Public() != tc.public || len(bucket) > 0 && bucket.Only(owner) != (len(bucket) == 1) || bucket.IsPrivate(owner) != (len(bucket) == 1) {
			t.Errorf("%q: public %v", tc.name, bucket.Public())
		}
	}
	if same, err := CannedObject("bucket-owner-read", owner, owner); err != nil || !same.IsPrivate(owner) {
		t.Errorf("an owner's own object: %v, %v", same, err)
	}
}

func TestParseHeader(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]Named{
		`id="1"`:                                {{ID: "1"}},
		`id=1`:                                  {{ID: "1"}},
		`ID = "1" `:                             {{ID: "1"}},
		`id=1, id=2`:                            {{ID: "1"}, {ID: "2"}},
		`id="a,b"`:                              {{ID: "a,b"}},
		`uri="http:/"`:                          {{URI: "http:/"}},
		`emailAddress="a@b.c", uri="u" ,id="7"`: {{Email: "a@b.c"}, {URI: "u"}, {ID: "7"}},
	} {
		if got, err := ParseHeader(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "id", "id=", `id=""`, `id="1`, `id="1" id="2"`, `id=1,`, `,id=1`, `name="x"`, `id="1"x`} {
		if got, err := ParseHeader(in); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, %v", in, got, err)
		}
	}
	if _, err := ParseHeader(strings.Repeat("id=1,", MaxGrants) + "id=1"); !errors.Is(err, ErrTooMany) {
		t.Errorf("101 grants: %v", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for p := Read; p <= FullControl; p++ {
		if back, err := ParsePermission(p.String()); err != nil || back != p {
			t.Errorf("%s is %d, %v", p, back, err)
		}
	}
	for k := AllUsers; k <= LogDelivery; k++ {
		if back, err := ParseGroup(k.URI()); err != nil || back != k {
			t.Errorf("%s is %d, %v", k.URI(), back, err)
		}
	}
	if User.URI() != "" || Permission(9).String() != "" {
		t.Error("something has a name that it should not have")
	}
	if _, err := ParsePermission(""); err == nil {
		t.Error("no permission is one")
	}
	if _, err := ParseGroup("http://acs.amazonaws.com/groups/global/"); err == nil {
		t.Error("half a group is one")
	}
}
