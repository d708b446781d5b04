package clustertest

import (
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

func testGuards(s *suite) {
	e := s.entry("k")
	unguarded := e
	unguarded.Content = s.Links.Make(1)
	_, err := s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: unguarded})
	s.want(err, fault.GuardGone)
	elsewhere := e
	elsewhere.Key = "other" // a guard is for one key
	_, err = s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: elsewhere})
	s.want(err, fault.GuardGone)
	_, err = s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: e})
	s.no(err)
	_, err = s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: e})
	s.want(err, fault.GuardGone)

	empty := cluster.Entry{Key: "empty", Modified: day, ETag: "d41d8cd98f00b204e9800998ecf8427e"}
	_, err = s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: empty})
	s.no(err)

	dropped := s.entry("dropped")
	s.no(s.ns.DropGuard(s.ctx, []cluster.Link{dropped.Content, {Server: 1, Object: cluster.NewObjectID()}, e.Content}))
	_, err = s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: dropped})
	s.want(err, fault.GuardGone)
	s.collected([]cluster.Link{dropped.Content, e.Content}, e.Content)

	// A guard that was sent twice and arrives late, after its create, must not cost the object.
	s.no(s.ns.Guard(s.ctx, cluster.Guard{Bucket: s.bucket, Key: "k", Content: e.Content, Timeout: time.Hour}))
	s.no(s.ns.DropGuard(s.ctx, []cluster.Link{e.Content}))
	s.collected([]cluster.Link{e.Content}, e.Content)
}

func testGuardExpiry(s *suite) {
	if s.Advance == nil {
		s.Skip("the clock cannot be moved")
	}
	short, long := s.entry("short"), s.entry("long")
	s.no(s.ns.Guard(s.ctx, cluster.Guard{Bucket: s.bucket, Key: "long", Content: long.Content, Timeout: 3 * time.Hour}))
	s.Advance(2 * time.Hour)
	s.collected([]cluster.Link{short.Content, long.Content}, long.Content)
	_, err := s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: short})
	s.want(err, fault.GuardGone)
	_, err = s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: long})
	s.no(err)
	s.Advance(24 * time.Hour)
	s.collected([]cluster.Link{long.Content}, long.Content)
}

func testEntry(s *suite) {
	_, err := s.lookup("k")
	s.want(err, fault.NotFound)
	for _, key := range []string{"k", "a//b", "../x", "\x00", "\x00\x01", "\xff\xfe", "a\x00b", " ", string(make([]byte, cluster.MaxKeyBytes))} {
		want := s.entry(key)
		got, err := s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: want})
		s.no(err)
		if got.Version.IsZero() {
			s.Fatal("the entry got no version")
		}
		want.Version, want.Null, want.Latest = got.Version, true, true
		equal(s, got, want)
		got, err = s.lookup(key)
		s.no(err)
		equal(s, got, want)
		got, err = s.ns.Lookup(s.ctx, cluster.LookupRequest{Bucket: s.bucket, Key: key, Version: want.Version})
		s.no(err)
		equal(s, got, want)
		_, err = s.ns.Lookup(s.ctx, cluster.LookupRequest{Bucket: s.bucket + 1, Key: key})
		s.want(err, fault.NotFound)
	}
	for _, etag := range []string{"", "x", "5d41402abc4b2a76b9719d911017c592-2", "5d41402abc4b2a76b9719d911017c592-02", "5D41402ABC4B2A76B9719D911017C592",
		"5d41402abc4b2a76b9719d911017c592-", "5d41402abc4b2a76b9719d911017c592-99999", "5d41402abc4b2a76b9719d911017c592-0"} {
		_, err := s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: cluster.Entry{Key: "etag", Modified: day, ETag: etag}})
		s.no(err)
		got, err := s.lookup("etag")
		s.no(err)
		equal(s, got.ETag, etag)
	}
	equal(s, s.delete("k", cluster.Unversioned).Found, true)
	_, err = s.lookup("k")
	s.want(err, fault.NotFound)
	equal(s, s.delete("k", cluster.Unversioned), cluster.Deleted{})
}

func testOverwrite(s *suite) {
	first := s.create("k", cluster.Unversioned)
	second := s.create("k", cluster.Unversioned)
	if second.Version.Compare(first.Version) <= 0 {
		s.Fatalf("version %s is not after %s", second.Version, first.Version)
	}
	s.collected([]cluster.Link{first.Content, second.Content}, second.Content)
	_, err := s.ns.Lookup(s.ctx, cluster.LookupRequest{Bucket: s.bucket, Key: "k", Version: first.Version})
	s.want(err, fault.NotFound)
	equal(s, s.delete("k", cluster.Unversioned), cluster.Deleted{Found: true, Version: second.Version, Null: true})
	s.collected([]cluster.Link{second.Content})
}

func testVersions(s *suite) {
	null := s.create("k", cluster.Unversioned)
	v1, v2 := s.create("k", cluster.VersioningEnabled), s.create("k", cluster.VersioningEnabled)
	all := []cluster.Link{null.Content, v1.Content, v2.Content}
	equal(s, []bool{null.Null, v1.Null, v2.Null}, []bool{true, false, false})
	got, err := s.ns.Lookup(s.ctx, cluster.LookupRequest{Bucket: s.bucket, Key: "k", Null: true})
	s.no(err)
	null.Latest = false
	equal(s, got, null)
	got, err = s.lookup("k")
	s.no(err)
	equal(s, got, v2)

	d := s.delete("k", cluster.VersioningEnabled)
	equal(s, d, cluster.Deleted{Found: true, DeleteMarker: true, Version: d.Version})
	marker, err := s.lookup("k")
	s.no(err)
	equal(s, marker, cluster.Entry{Key: "k", Version: d.Version, Latest: true, DeleteMarker: true, Modified: day, Owner: 9})
	again := s.delete("k", cluster.VersioningEnabled)
	equal(s, again, cluster.Deleted{DeleteMarker: true, Version: again.Version})
	s.collected(all, all...)

	byVersion := func(v cluster.VersionID) cluster.Deleted {
		d, err := s.ns.DeleteEntry(s.ctx, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: "k", Version: v}, Versioning: cluster.VersioningEnabled})
		s.no(err)
		return d
	}
	equal(s, byVersion(again.Version), cluster.Deleted{Found: true, DeleteMarker: true, Version: again.Version})
	equal(s, byVersion(v1.Version), cluster.Deleted{Found: true, Version: v1.Version})
	equal(s, byVersion(v1.Version), cluster.Deleted{})
	equal(s, byVersion(d.Version), cluster.Deleted{Found: true, DeleteMarker: true, Version: d.Version})
	got, err = s.lookup("k")
	s.no(err)
	equal(s, got, v2)
	equal(s, byVersion(v2.Version), cluster.Deleted{Found: true, Version: v2.Version})
	got, err = s.lookup("k")
	s.no(err)
	null.Latest = true
	equal(s, got, null)
	s.collected(all, null.Content)
	equal(s, byVersion(null.Version), cluster.Deleted{Found: true, Version: null.Version, Null: true})
	_, err = s.lookup("k")
	s.want(err, fault.NotFound)
	s.collected(all)

	// A marker over nothing.
	d, err = s.ns.DeleteEntry(s.ctx, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: "none"}, Versioning: cluster.VersioningEnabled, Modified: day})
	s.no(err)
	equal(s, d, cluster.Deleted{DeleteMarker: true, Version: d.Version})
}

func testSuspended(s *suite) {
	null := s.create("k", cluster.Unversioned)
	v1 := s.create("k", cluster.VersioningEnabled)
	null2 := s.create("k", cluster.VersioningSuspended) // takes the place of the null version below v1
	s.collected([]cluster.Link{null.Content, v1.Content, null2.Content}, v1.Content, null2.Content)
	null3 := s.create("k", cluster.VersioningSuspended)
	s.collected([]cluster.Link{v1.Content, null2.Content, null3.Content}, v1.Content, null3.Content)
	v2 := s.create("k", cluster.VersioningEnabled)
	d := s.delete("k", cluster.VersioningSuspended) // a null marker in the place of null3
	equal(s, d, cluster.Deleted{Found: true, DeleteMarker: true, Null: true, Version: d.Version})
	s.collected([]cluster.Link{v1.Content, v2.Content, null3.Content}, v1.Content, v2.Content)
	p, err := s.ns.ListVersions(s.ctx, cluster.ListVersionsRequest{Bucket: s.bucket})
	s.no(err)
	var got []cluster.VersionID
	for _, e := range p.Entries {
		got = append(got, e.Version)
	}
	equal(s, got, []cluster.VersionID{d.Version, v2.Version, v1.Version})
	d2, err := s.ns.DeleteEntry(s.ctx, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: "k", Null: true}, Versioning: cluster.VersioningSuspended})
	s.no(err)
	equal(s, d2, cluster.Deleted{Found: true, DeleteMarker: true, Null: true, Version: d.Version})
	e, err := s.lookup("k")
	s.no(err)
	equal(s, e, v2)
}

func testConditions(s *suite) {
	e := s.create("there", cluster.VersioningEnabled)
	s.create("hidden", cluster.VersioningEnabled)
	s.delete("hidden", cluster.VersioningEnabled)
	size, wrong := e.Size, e.Size+1
	same, later := e.Modified.Truncate(time.Second), e.Modified.Add(time.Second)
	for _, tc := range []struct {
		name             string
		c                cluster.Condition
		there, elsewhere fault.Kind // Other: none
	}{
		{"none", cluster.Condition{}, fault.Other, fault.Other},
		{"match", cluster.Condition{IfMatch: e.ETag}, fault.Other, fault.NotFound},
		{"match any", cluster.Condition{IfMatch: "*"}, fault.Other, fault.NotFound},
		{"match other", cluster.Condition{IfMatch: "x"}, fault.Precondition, fault.NotFound},
		{"none match any", cluster.Condition{IfNoneMatch: "*"}, fault.Precondition, fault.Other},
		{"none match same", cluster.Condition{IfNoneMatch: e.ETag}, fault.Precondition, fault.Other},
		{"none match other", cluster.Condition{IfNoneMatch: "x"}, fault.Other, fault.Other},
		{"size", cluster.Condition{IfSize: &size}, fault.Other, fault.NotFound},
		{"other size", cluster.Condition{IfSize: &wrong}, fault.Precondition, fault.NotFound},
		{"modified", cluster.Condition{IfModified: &same}, fault.Other, fault.NotFound},
		{"modified later", cluster.Condition{IfModified: &later}, fault.Precondition, fault.NotFound},
	} {
		for key, kind := range map[string]fault.Kind{"there": tc.there, "missing": tc.elsewhere, "hidden": tc.elsewhere} {
			before, _ := s.lookup(key)
			r := cluster.CreateEntryRequest{Bucket: s.bucket, Versioning: cluster.VersioningEnabled, Entry: s.entry(key), Condition: tc.c}
			del := cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: key}, Versioning: cluster.VersioningEnabled, Modified: day, Condition: tc.c}
			if kind != fault.Other {
				_, err := s.ns.CreateEntry(s.ctx, r)
				s.want(err, kind)
				_, err = s.ns.DeleteEntry(s.ctx, del)
				s.want(err, kind)
				after, _ := s.lookup(key)
				equal(s, after, before)
				continue
			}
			made, err := s.ns.CreateEntry(s.ctx, r)
			s.no(err)
			r.Condition, del.LookupRequest.Version = cluster.Condition{}, made.Version
			if tc.c.IfNoneMatch != "*" && tc.c.IfNoneMatch != e.ETag {
				_, err = s.ns.DeleteEntry(s.ctx, del)
				s.no(err)
				continue
			}
			del.Condition = cluster.Condition{}
			_, err = s.ns.DeleteEntry(s.ctx, del)
			s.no(err)
		}
	}
	// A create that failed its condition keeps its guard.
	last := s.entry("there")
	_, err := s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: last, Condition: cluster.Condition{IfNoneMatch: "*"}})
	s.want(err, fault.Precondition)
	_, err = s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: last})
	s.no(err)
}

func testUpdateEntry(s *suite) {
	old := s.create("k", cluster.VersioningEnabled)
	cur := s.create("k", cluster.VersioningEnabled)
	set := []cluster.Attribute{{ID: cluster.AttrPolicy, Value: []byte{}}, {ID: cluster.AttrTags, Value: nil}, {ID: cluster.AttrLegalHold, Value: cluster.EncodeLegalHold(false)}}
	for _, want := range []cluster.Entry{old, cur} {
		r := cluster.UpdateEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: "k", Version: want.Version}, Set: set}
		want.Latest = want.Version == cur.Version
		if want.Latest {
			r.Version = cluster.VersionID{}
		}
		got, err := s.ns.UpdateEntry(s.ctx, r)
		s.no(err)
		want.Attrs = []cluster.Attribute{want.Attrs[0], {ID: cluster.AttrLegalHold, Value: cluster.EncodeLegalHold(false)}, {ID: cluster.AttrPolicy, Value: []byte{}}}
		equal(s, got, want)
		got, err = s.ns.Lookup(s.ctx, r.LookupRequest)
		s.no(err)
		equal(s, got, want)
	}
	s.collected([]cluster.Link{old.Content, cur.Content}, old.Content, cur.Content)
	_, err := s.ns.UpdateEntry(s.ctx, cluster.UpdateEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: "none"}, Set: set})
	s.want(err, fault.NotFound)
	d := s.delete("k", cluster.VersioningEnabled)
	_, err = s.ns.UpdateEntry(s.ctx, cluster.UpdateEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: "k"}, Set: set})
	s.want(err, fault.NotFound)
	_, err = s.ns.UpdateEntry(s.ctx, cluster.UpdateEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: "k", Version: d.Version}, Set: set})
	s.want(err, fault.MethodNotAllowed)
}
