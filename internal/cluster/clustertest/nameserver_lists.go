package clustertest

import (
	"fmt"
	"slices"
	"strings"

	"ostor/internal/cluster"
)

// listed returns what a listing must hold of an entry.
func listed(e cluster.Entry) cluster.Entry {
	e.Headers, e.UserMeta = nil, nil
	e.Attrs = slices.DeleteFunc(slices.Clone(e.Attrs), func(a cluster.Attribute) bool { return a.ID != cluster.AttrACL })
	if len(e.Attrs) == 0 {
		e.Attrs = nil
	}
	return e
}

// Listed returns the page with each entry reduced to what a listing must hold.
func Listed(p cluster.ListPage) cluster.ListPage {
	p.Entries = slices.Clone(p.Entries)
	for i := range p.Entries {
		p.Entries[i] = listed(p.Entries[i])
	}
	if len(p.Entries) == 0 {
		p.Entries = nil
	}
	if len(p.Prefixes) == 0 {
		p.Prefixes = nil
	}
	return p
}

// lines writes a page for comparison: names, versions and flags.
func lines(p cluster.ListPage) string {
	var b strings.Builder
	for _, e := range p.Entries {
		fmt.Fprintf(&b, "%q %d latest %t marker %t; ", e.Key, e.Version.Sequence, e.Latest, e.DeleteMarker)
	}
	fmt.Fprintf(&b, "prefixes %q more %t next %q %d", p.Prefixes, p.More, p.Next, p.NextVersion.Sequence)
	return b.String()
}

// put makes an empty object and adds it to the model.
func (s *suite) put(model *Names, key string, v cluster.Versioning) {
	s.Helper()
	e, err := s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Versioning: v, Entry: cluster.Entry{Key: key, Modified: day, ETag: "e"}})
	s.no(err)
	model.Add(e)
}

func testList(s *suite) {
	for _, k := range []string{"a", "b/1", "b/2", "b/c/3", "b0", "c/", "d"} {
		s.create(k, cluster.Unversioned)
	}
	s.create("hidden/x", cluster.VersioningEnabled)
	s.delete("hidden/x", cluster.VersioningEnabled)
	for _, tc := range []struct {
		r    cluster.ListRequest
		want string // names, prefixes in brackets
		next string
	}{
		{cluster.ListRequest{}, "a b/1 b/2 b/c/3 b0 c/ d", ""},
		{cluster.ListRequest{Delimiter: "/"}, "a b0 d [b/] [c/]", ""},
		{cluster.ListRequest{Delimiter: "/", Limit: 2}, "a [b/]", "b/"},
		{cluster.ListRequest{Delimiter: "/", Limit: 2, After: "b/"}, "b0 [c/]", "c/"},
		{cluster.ListRequest{Delimiter: "/", After: "b/1"}, "b0 d [c/]", ""},
		{cluster.ListRequest{After: "b/1", Limit: 1}, "b/2", "b/2"},
		{cluster.ListRequest{Prefix: "b/", Delimiter: "/"}, "b/1 b/2 [b/c/]", ""},
		{cluster.ListRequest{Prefix: "b/", Delimiter: "/", After: "b/c/"}, "", ""},
		{cluster.ListRequest{Prefix: "b", After: "z"}, "", ""},
		{cluster.ListRequest{Prefix: "b", After: "A"}, "b/1 b/2 b/c/3 b0", ""},
		{cluster.ListRequest{Delimiter: "/c"}, "a b/1 b/2 b0 c/ d [b/c]", ""},
		{cluster.ListRequest{Prefix: "zz"}, "", ""},
	} {
		tc.r.Bucket = s.bucket
		p, err := s.ns.List(s.ctx, tc.r)
		s.no(err)
		var got []string
		for _, e := range p.Entries {
			got = append(got, e.Key)
			full, err := s.lookup(e.Key)
			s.no(err)
			equal(s, listed(e), listed(full))
		}
		for _, cp := range p.Prefixes {
			got = append(got, "["+cp+"]")
		}
		if g := strings.Join(got, " "); g != tc.want || p.Next != tc.next || p.More != (tc.next != "") {
			s.Errorf("%+v: got %q, next %q, more %t; want %q, next %q", tc.r, g, p.Next, p.More, tc.want, tc.next)
		}
	}
}

// oddNames holds keys that meet every rule of order and escape.
var oddNames = []string{"\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\x01", "a/", "a//", "a/b", "a/b/c", "a/\xff", "a0", "ab", "ab/", "ab/c",
	"a\xff", "a\xff\xff", "b--c", "b--c--d", "b-c", "\xff", "\xff\x00", "\xff\xff", "\xff\xff/x"}

// testListProperty compares listings with the model for all combinations of prefix, delimiter, marker and limit.
func testListProperty(s *suite) {
	model := &Names{}
	for i, k := range oddNames {
		s.put(model, k, cluster.VersioningEnabled)
		if i%3 == 0 {
			s.put(model, k, cluster.VersioningEnabled)
		}
		if i%4 == 1 {
			r := cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: k}, Versioning: cluster.VersioningEnabled, Modified: day}
			d, err := s.ns.DeleteEntry(s.ctx, r)
			s.no(err)
			model.Delete(r, d.Version)
		}
	}
	all := model.ListVersions(cluster.ListVersionsRequest{}).Entries
	markers := append([]string{"", "a/b/", "a/b/zz", "ab/zz", "b--", "\xff\xff/", "zz"}, oddNames...)
	combinations := 0
	for _, prefix := range []string{"", "a", "a/", "a/b", "\x00", "\xff", "\xff\xff", "b--", "none"} {
		for _, delimiter := range []string{"", "/", "--", "\x00", "\xff", "b", "/b"} {
			for i, marker := range markers {
				for _, limit := range []int{0, 1, 2, 5} {
					combinations++
					r := cluster.ListRequest{Bucket: s.bucket, Prefix: prefix, Delimiter: delimiter, After: marker, Limit: limit}
					got, err := s.ns.List(s.ctx, r)
					s.no(err)
					if g, w := lines(got), lines(model.List(r)); g != w {
						s.Fatalf("%+v:\ngot  %s\nwant %s", r, g, w)
					}
					v := cluster.ListVersionsRequest{Bucket: s.bucket, Prefix: prefix, Delimiter: delimiter, KeyMarker: marker, Limit: limit}
					if i%2 == 1 && marker != "" {
						v.VersionMarker = all[(i*7+limit)%len(all)].Version
					}
					got, err = s.ns.ListVersions(s.ctx, v)
					s.no(err)
					if g, w := lines(got), lines(model.ListVersions(v)); g != w {
						s.Fatalf("%+v:\ngot  %s\nwant %s", v, g, w)
					}
				}
			}
		}
	}
	s.Logf("%d combinations", combinations)
}

func testListVersions(s *suite) {
	model := &Names{}
	for i := range 30 {
		s.put(model, fmt.Sprintf("k%d", i%4), cluster.Versioning(1+i%5/4))
		s.put(model, fmt.Sprintf("dir/%d", i%4), cluster.VersioningEnabled)
	}
	for _, delimiter := range []string{"", "/"} {
		want := model.ListVersions(cluster.ListVersionsRequest{Delimiter: delimiter})
		for limit := 1; limit < 12; limit++ {
			var got cluster.ListPage
			for r := (cluster.ListVersionsRequest{Bucket: s.bucket, Delimiter: delimiter, Limit: limit}); ; {
				p, err := s.ns.ListVersions(s.ctx, r)
				s.no(err)
				got.Entries, got.Prefixes = append(got.Entries, p.Entries...), append(got.Prefixes, p.Prefixes...)
				if !p.More {
					break
				}
				equal(s, len(p.Entries)+len(p.Prefixes), limit)
				r.KeyMarker, r.VersionMarker = p.Next, p.NextVersion
			}
			equal(s, Listed(got), Listed(want))
		}
	}
}
