package clustertest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// upload begins an upload with n parts of the least size, the last of one byte.
func (s *suite) upload(key string, n int) (cluster.UploadID, []cluster.Part) {
	s.Helper()
	u := cluster.Upload{ID: cluster.NewUploadID(), Key: key, Initiated: day, Owner: 3, Template: cluster.Entry{Owner: 4, StorageClass: 1, Modified: day,
		Headers: []cluster.Header{{Name: "content-type", Value: "x/y"}}, Checksum: cluster.Checksum{Algorithm: cluster.ChecksumCRC32, Composite: true}}}
	s.no(s.ns.CreateUpload(s.ctx, s.bucket, u))
	var parts []cluster.Part
	for i := range n {
		p := cluster.Part{Number: int32(2*i + 1), Size: cluster.MinPartBytes, Content: s.guarded(key), ETag: fmt.Sprintf("etag-%d", i), Modified: day,
			Checksum: cluster.Checksum{Algorithm: cluster.ChecksumCRC32, Value: []byte{byte(i)}}}
		if i == n-1 {
			p.Size = 1
		}
		s.no(s.ns.PutPart(s.ctx, s.bucket, key, u.ID, p))
		parts = append(parts, p)
	}
	return u.ID, parts
}

// complete returns the request that makes an object of the parts.
func (s *suite) complete(key string, id cluster.UploadID, parts []cluster.Part) cluster.CompleteUploadRequest {
	r := cluster.CompleteUploadRequest{Bucket: s.bucket, Key: key, ID: id, Modified: day, ETag: "whole-2",
		Checksum: cluster.Checksum{Algorithm: cluster.ChecksumCRC32, Composite: true, Value: []byte{9, 9, 9, 9}}}
	for _, p := range parts {
		r.Parts = append(r.Parts, cluster.CompletePart{Number: p.Number, ETag: p.ETag})
	}
	return r
}

func testMultipart(s *suite) {
	before := s.create("k", cluster.Unversioned)
	id, parts := s.upload("k", 4)
	replaced := parts[1]
	parts[1].Content, parts[1].Checksum.Value = s.guarded("k"), []byte{77}
	s.no(s.ns.PutPart(s.ctx, s.bucket, "k", id, parts[1]))
	s.want(s.ns.PutPart(s.ctx, s.bucket, "k", id, parts[0]), fault.GuardGone)
	links := []cluster.Link{before.Content, replaced.Content, parts[0].Content, parts[1].Content, parts[2].Content, parts[3].Content}

	got, more, err := s.ns.ListParts(s.ctx, s.bucket, "k", id, 0, 0)
	s.no(err)
	equal(s, got, parts)
	equal(s, more, false)
	got, more, err = s.ns.ListParts(s.ctx, s.bucket, "k", id, 1, 2)
	s.no(err)
	equal(s, got, parts[1:3])
	equal(s, more, true)
	got, more, err = s.ns.ListParts(s.ctx, s.bucket, "k", id, math.MaxInt32, 2)
	s.no(err)
	equal(s, len(got), 0)
	equal(s, more, false)
	s.collected(links, append([]cluster.Link{links[0]}, links[2:]...)...)

	r := s.complete("k", id, []cluster.Part{parts[0], parts[1], parts[3]}) // part 5 is left out
	r.Parts[1].Checksum = parts[1].Checksum
	e, err := s.ns.CompleteUpload(s.ctx, r)
	s.no(err)
	want := cluster.Entry{Key: "k", Version: e.Version, Null: true, Latest: true, Modified: day, Owner: 4, Size: 2*cluster.MinPartBytes + 1, ETag: "whole-2",
		PartCount: 3, Table: e.Table, StorageClass: 1, Headers: []cluster.Header{{Name: "content-type", Value: "x/y"}}, Checksum: r.Checksum}
	equal(s, e, want)
	again, err := s.ns.CompleteUpload(s.ctx, r)
	s.no(err)
	equal(s, again, e)
	other := s.complete("k", id, parts)
	_, err = s.ns.CompleteUpload(s.ctx, other)
	s.want(err, fault.NoUpload)
	found, err := s.lookup("k")
	s.no(err)
	equal(s, found, e)
	s.collected(links, parts[0].Content, parts[1].Content, parts[3].Content)
	s.want(s.ns.PutPart(s.ctx, s.bucket, "k", id, cluster.Part{Number: 9, Modified: day}), fault.NoUpload)
	s.want(s.ns.AbortUpload(s.ctx, s.bucket, "k", id), fault.NoUpload)

	stored := []cluster.Part{parts[0], parts[1], parts[3]}
	stored[1].Offset, stored[2].Offset = cluster.MinPartBytes, 2*cluster.MinPartBytes
	for _, tc := range []struct {
		offset int64
		limit  int
		want   []cluster.Part
	}{
		{0, 0, stored}, {0, 1, stored[:1]}, {cluster.MinPartBytes - 1, 0, stored}, {cluster.MinPartBytes, 1, stored[1:2]}, {2 * cluster.MinPartBytes, 0, stored[2:]},
		{2*cluster.MinPartBytes + 1, 0, nil}, {cluster.MaxObjectBytes, 0, nil},
	} {
		got, err := s.ns.Parts(s.ctx, s.bucket, "k", e.Table, tc.offset, tc.limit)
		s.no(err)
		if len(got) != 0 || len(tc.want) != 0 {
			equal(s, got, tc.want)
		}
	}
	_, err = s.ns.Parts(s.ctx, s.bucket, "k", cluster.NewObjectID(), 0, 0)
	s.want(err, fault.NotFound)

	s.create("k", cluster.Unversioned)
	_, err = s.ns.CompleteUpload(s.ctx, r) // what it made is not the current version any more
	s.want(err, fault.NoUpload)
	s.collected(links)
}

func testCompleteErrors(s *suite) {
	id, parts := s.upload("k", 3)
	small := cluster.Part{Number: 2, Size: cluster.MinPartBytes - 1, Content: s.guarded("k"), ETag: "small", Modified: day}
	s.no(s.ns.PutPart(s.ctx, s.bucket, "k", id, small))
	for name, tc := range map[string]struct {
		kind   fault.Kind
		change func(r *cluster.CompleteUploadRequest)
	}{
		"no parts":       {fault.Invalid, func(r *cluster.CompleteUploadRequest) { r.Parts = nil }},
		"missing":        {fault.InvalidPart, func(r *cluster.CompleteUploadRequest) { r.Parts[2].Number = 9 }},
		"missing within": {fault.InvalidPart, func(r *cluster.CompleteUploadRequest) { r.Parts[1].Number = 4 }},
		"zero":           {fault.InvalidPart, func(r *cluster.CompleteUploadRequest) { r.Parts[0].Number = 0 }},
		"etag":           {fault.InvalidPart, func(r *cluster.CompleteUploadRequest) { r.Parts[1].ETag = "x" }},
		"checksum": {fault.InvalidPart, func(r *cluster.CompleteUploadRequest) {
			r.Parts[1].Checksum = cluster.Checksum{Algorithm: cluster.ChecksumCRC32, Value: []byte{200}}
		}},
		"order":     {fault.PartOrder, func(r *cluster.CompleteUploadRequest) { r.Parts[0], r.Parts[1] = r.Parts[1], r.Parts[0] }},
		"twice":     {fault.PartOrder, func(r *cluster.CompleteUploadRequest) { r.Parts[1] = r.Parts[0] }},
		"small":     {fault.PartTooSmall, func(r *cluster.CompleteUploadRequest) { r.Parts[1] = cluster.CompletePart{Number: 2, ETag: "small"} }},
		"condition": {fault.NotFound, func(r *cluster.CompleteUploadRequest) { r.Condition.IfMatch = "*" }},
		"upload":    {fault.NoUpload, func(r *cluster.CompleteUploadRequest) { r.ID = cluster.NewUploadID() }},
		"key":       {fault.NoUpload, func(r *cluster.CompleteUploadRequest) { r.Key = "other" }},
		"too many":  {fault.Invalid, func(r *cluster.CompleteUploadRequest) { r.Parts = make([]cluster.CompletePart, cluster.MaxParts+1) }},
	} {
		r := s.complete("k", id, parts)
		tc.change(&r)
		if _, err := s.ns.CompleteUpload(s.ctx, r); !errors.Is(err, tc.kind) {
			s.Errorf("%s: got %v, want %v", name, err, tc.kind)
		}
	}
	e, err := s.ns.CompleteUpload(s.ctx, s.complete("k", id, parts))
	s.no(err)
	s.collected([]cluster.Link{parts[0].Content, parts[1].Content, parts[2].Content, small.Content}, parts[0].Content, parts[1].Content, parts[2].Content)
	s.delete("k", cluster.Unversioned)
	s.collected([]cluster.Link{parts[0].Content, parts[1].Content, parts[2].Content})
	_, err = s.ns.Parts(s.ctx, s.bucket, "k", e.Table, 0, 0)
	if s.Collect != nil {
		s.want(err, fault.NotFound)
	}
	huge, _ := s.upload("huge", 0)
	r := cluster.CompleteUploadRequest{Bucket: s.bucket, Key: "huge", ID: huge, Modified: day}
	for i := range 1025 {
		p := cluster.Part{Number: int32(i + 1), Size: cluster.MaxPutBytes, Content: s.guarded("huge"), ETag: "e", Modified: day}
		s.no(s.ns.PutPart(s.ctx, s.bucket, "huge", huge, p))
		r.Parts = append(r.Parts, cluster.CompletePart{Number: p.Number, ETag: "e"})
	}
	_, err = s.ns.CompleteUpload(s.ctx, r)
	s.want(err, fault.TooLarge)
	r.Parts = r.Parts[:1024]
	e, err = s.ns.CompleteUpload(s.ctx, r)
	s.no(err)
	equal(s, e.Size, int64(cluster.MaxObjectBytes))
}

// testManyParts completes an upload with empty last part over several chunks of whatever the implementation keeps, and reads it everywhere.
func testManyParts(s *suite) {
	const n = 1301
	id, _ := s.upload("k", 0)
	r := cluster.CompleteUploadRequest{Bucket: s.bucket, Key: "k", ID: id, Modified: day}
	var want []cluster.Part
	for i := range n {
		p := cluster.Part{Number: int32(7*i + 1), Size: int64(cluster.MinPartBytes + i), ETag: fmt.Sprintf("%032x", i), Modified: day}
		if i == n-1 {
			p.Size = 0
		} else {
			p.Content = s.guarded("k")
		}
		s.no(s.ns.PutPart(s.ctx, s.bucket, "k", id, p))
		r.Parts = append(r.Parts, cluster.CompletePart{Number: p.Number, ETag: p.ETag})
		if i > 0 {
			p.Offset = want[i-1].Offset + want[i-1].Size
		}
		want = append(want, p)
	}
	e, err := s.ns.CompleteUpload(s.ctx, r)
	s.no(err)
	got, err := s.ns.Parts(s.ctx, s.bucket, "k", e.Table, 0, n+1)
	s.no(err)
	equal(s, got, want)
	for i := 0; i < n-1; i += 13 {
		for _, offset := range []int64{want[i].Offset, want[i].Offset + want[i].Size - 1} {
			got, err := s.ns.Parts(s.ctx, s.bucket, "k", e.Table, offset, 3)
			s.no(err)
			equal(s, got, want[i:min(i+3, n)])
		}
	}
	if s.Collect != nil {
		s.no(s.Collect(s.ctx))
		equal(s, s.Links.Len(), n-1)
		s.delete("k", cluster.Unversioned)
		s.no(s.Collect(s.ctx))
		equal(s, s.Links.Len(), 0)
	}
}

func testUploads(s *suite) {
	ids := map[string][]cluster.UploadID{}
	var all []cluster.Link
	for _, key := range []string{"a", "a", "a", "b/1", "b/2", "c"} {
		id, parts := s.upload(key, 2)
		ids[key] = append(ids[key], id)
		all = append(all, parts[0].Content, parts[1].Content)
	}
	u, err := s.ns.GetUpload(s.ctx, s.bucket, "c", ids["c"][0])
	s.no(err)
	equal(s, u.Template.Headers, []cluster.Header{{Name: "content-type", Value: "x/y"}})
	equal(s, []any{u.ID, u.Key, u.Initiated, u.Owner, u.Template.Owner, u.Template.StorageClass}, []any{ids["c"][0], "c", day, cluster.UserID(3), cluster.UserID(4), uint8(1)})
	_, err = s.ns.GetUpload(s.ctx, s.bucket, "a", ids["c"][0])
	s.want(err, fault.NoUpload)
	s.want(s.ns.CreateUpload(s.ctx, s.bucket, cluster.Upload{ID: ids["c"][0], Key: "c", Initiated: day}), fault.Exists)
	for limit := 1; limit < 7; limit++ {
		for _, delimiter := range []string{"", "/"} {
			var got []string
			for r := (cluster.ListUploadsRequest{Bucket: s.bucket, Delimiter: delimiter, Limit: limit}); ; {
				p, err := s.ns.ListUploads(s.ctx, r)
				s.no(err)
				for _, u := range p.Uploads {
					got = append(got, u.Key)
					equal(s, u.Template, cluster.Entry{Owner: 4, StorageClass: 1, Checksum: cluster.Checksum{Algorithm: cluster.ChecksumCRC32, Composite: true}})
				}
				got = append(got, p.Prefixes...)
				if !p.More {
					break
				}
				r.KeyMarker, r.UploadMarker = p.NextKey, p.NextUpload
			}
			want := "a a a b/1 b/2 c"
			if delimiter != "" {
				want = "a a a b/ c"
			}
			if g := strings.Join(got, " "); g != want && limit < 4 && delimiter == "" || len(got) != len(strings.Fields(want)) {
				s.Errorf("limit %d, delimiter %q: got %q, want %q", limit, delimiter, g, want)
			}
		}
	}
	p, err := s.ns.ListUploads(s.ctx, cluster.ListUploadsRequest{Bucket: s.bucket, KeyMarker: "a"})
	s.no(err)
	equal(s, len(p.Uploads), 3)
	s.no(s.ns.AbortUpload(s.ctx, s.bucket, "a", ids["a"][1]))
	s.want(s.ns.AbortUpload(s.ctx, s.bucket, "a", ids["a"][1]), fault.NoUpload)
	kept := append(append([]cluster.Link{}, all[:2]...), all[4:]...)
	s.collected(all, kept...)
	_, _, err = s.ns.ListParts(s.ctx, s.bucket, "a", ids["a"][1], 0, 0)
	s.want(err, fault.NoUpload)
}

func testRecords(s *suite) {
	apply := func(cs ...cluster.RecordChange) error { return s.ns.ApplyRecords(s.ctx, cs) }
	_, err := s.ns.GetRecord(s.ctx, "/u/1")
	s.want(err, fault.NotFound)
	s.no(apply(cluster.RecordChange{Name: "/u/1", Value: []byte("one")}, cluster.RecordChange{Name: "/u/2", Value: []byte{}}, cluster.RecordChange{Name: "/v", Value: []byte("v"), Expect: cluster.AnyEpoch}))
	s.want(apply(cluster.RecordChange{Name: "/u/3", Value: []byte("x")}, cluster.RecordChange{Name: "/u/1", Value: []byte("x")}), fault.Precondition)
	_, err = s.ns.GetRecord(s.ctx, "/u/3")
	s.want(err, fault.NotFound)
	s.no(apply(cluster.RecordChange{Name: "/u/1", Value: []byte("two"), Expect: 1}))
	s.want(apply(cluster.RecordChange{Name: "/u/1", Value: []byte("three"), Expect: 1}), fault.Precondition)
	s.want(apply(cluster.RecordChange{Name: "/u/9", Value: []byte("x"), Expect: 1}), fault.Precondition)
	r, err := s.ns.GetRecord(s.ctx, "/u/1")
	s.no(err)
	equal(s, r, cluster.Record{Name: "/u/1", Value: []byte("two"), Epoch: 2})
	r, err = s.ns.GetRecord(s.ctx, "/u/2")
	s.no(err)
	equal(s, []any{len(r.Value), r.Epoch}, []any{0, cluster.Epoch(1)})
	rs, more, err := s.ns.ListRecords(s.ctx, "/u/", "", 1)
	s.no(err)
	equal(s, []any{len(rs), rs[0].Name, more}, []any{1, "/u/1", true})
	rs, more, err = s.ns.ListRecords(s.ctx, "/u/", "/u/1", 1)
	s.no(err)
	equal(s, []any{len(rs), rs[0].Name, more}, []any{1, "/u/2", false})
	rs, _, err = s.ns.ListRecords(s.ctx, "", "/u/2", 0)
	s.no(err)
	equal(s, rs, []cluster.Record{{Name: "/v", Value: []byte("v"), Epoch: 1}})
	s.no(apply(cluster.RecordChange{Name: "/u/1", Expect: 2}, cluster.RecordChange{Name: "/none", Expect: cluster.AnyEpoch}))
	_, err = s.ns.GetRecord(s.ctx, "/u/1")
	s.want(err, fault.NotFound)
}

// testInvalid sends requests that cannot be right: each gets an error of the kind, and changes nothing.
func testInvalid(s *suite) {
	long := strings.Repeat("k", cluster.MaxKeyBytes+1)
	at := func(key string) cluster.LookupRequest { return cluster.LookupRequest{Bucket: s.bucket, Key: key} }
	link := cluster.Link{Server: 1, Object: cluster.ObjectID{1}}
	create := func(e cluster.Entry) error {
		if e.Modified.IsZero() {
			e.Modified = day
		}
		_, err := s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: e})
		return err
	}
	list := func(r cluster.ListRequest) error { _, err := s.ns.List(s.ctx, r); return err }
	parts := func(offset int64, limit int) error {
		_, err := s.ns.Parts(s.ctx, s.bucket, "k", cluster.ObjectID{1}, offset, limit)
		return err
	}
	guard := func(g cluster.Guard) error { return s.ns.Guard(s.ctx, g) }
	id, _ := s.upload("up", 0)
	part := func(p cluster.Part) error { return s.ns.PutPart(s.ctx, s.bucket, "up", id, p) }
	for name, tc := range map[string]struct {
		err  error
		kind fault.Kind
	}{
		"empty key":        {create(cluster.Entry{}), fault.Invalid},
		"long key":         {create(cluster.Entry{Key: long}), fault.Invalid},
		"negative size":    {create(cluster.Entry{Key: "k", Size: -1, Content: link}), fault.Invalid},
		"huge size":        {create(cluster.Entry{Key: "k", Size: math.MaxInt64, Content: link}), fault.TooLarge},
		"bytes, no link":   {create(cluster.Entry{Key: "k", Size: 1}), fault.Invalid},
		"link, no bytes":   {create(cluster.Entry{Key: "k", Content: link}), fault.Invalid},
		"half a link":      {create(cluster.Entry{Key: "k", Size: 1, Content: cluster.Link{Server: 1}}), fault.Invalid},
		"marker":           {create(cluster.Entry{Key: "k", DeleteMarker: true}), fault.Invalid},
		"parts":            {create(cluster.Entry{Key: "k", PartCount: 1, Table: cluster.ObjectID{1}}), fault.Invalid},
		"year":             {create(cluster.Entry{Key: "k", Modified: time.Date(math.MaxInt32, 1, 1, 0, 0, 0, 0, time.UTC)}), fault.Invalid},
		"attribute twice":  {create(cluster.Entry{Key: "k", Attrs: []cluster.Attribute{{ID: 1}, {ID: 1}}}), fault.Invalid},
		"long metadata":    {create(cluster.Entry{Key: "k", UserMeta: []cluster.Header{{Name: "a", Value: strings.Repeat("x", 1<<16)}}}), fault.TooLarge},
		"long ETag":        {create(cluster.Entry{Key: "k", ETag: long}), fault.Invalid},
		"long checksum":    {create(cluster.Entry{Key: "k", Checksum: cluster.Checksum{Algorithm: 1, Value: make([]byte, 300)}}), fault.Invalid},
		"list no bucket":   {list(cluster.ListRequest{}), fault.Invalid},
		"list limit":       {list(cluster.ListRequest{Bucket: s.bucket, Limit: -1}), fault.Invalid},
		"list long prefix": {list(cluster.ListRequest{Bucket: s.bucket, Prefix: long + "k"}), fault.Invalid},
		"parts offset":     {parts(-1, 0), fault.Invalid},
		"parts past end":   {parts(math.MaxInt64, 0), fault.Invalid},
		"parts limit":      {parts(0, -1), fault.Invalid},
		"guard no link":    {guard(cluster.Guard{Bucket: s.bucket, Key: "k", Timeout: 1}), fault.Invalid},
		"guard no time":    {guard(cluster.Guard{Bucket: s.bucket, Key: "k", Content: link}), fault.Invalid},
		"guard long time":  {guard(cluster.Guard{Bucket: s.bucket, Key: "k", Content: link, Timeout: math.MaxInt64}), fault.Invalid},
		"part 0":           {part(cluster.Part{Modified: day}), fault.Invalid},
		"part 10001":       {part(cluster.Part{Number: 10001, Modified: day}), fault.Invalid},
		"part negative":    {part(cluster.Part{Number: 1, Size: -5, Modified: day}), fault.Invalid},
		"part huge":        {part(cluster.Part{Number: 1, Size: math.MaxInt64, Content: link, Modified: day}), fault.TooLarge},
		"null and version": {func() error {
			r := at("k")
			r.Null, r.Version.Sequence = true, 1
			_, err := s.ns.Lookup(s.ctx, r)
			return err
		}(), fault.Invalid},
		"lookup long key":   {func() error { _, err := s.ns.Lookup(s.ctx, at(long)); return err }(), fault.Invalid},
		"bucket name":       {func() error { _, err := s.ns.CreateBucket(s.ctx, cluster.Bucket{ID: 1, Created: day}); return err }(), fault.Invalid},
		"bucket id":         {func() error { _, err := s.ns.CreateBucket(s.ctx, cluster.Bucket{Name: "b", Created: day}); return err }(), fault.Invalid},
		"get no bucket":     {func() error { _, err := s.ns.GetBucket(s.ctx, strings.Repeat(long, 9)); return err }(), fault.NoBucket},
		"record name":       {s.ns.ApplyRecords(s.ctx, []cluster.RecordChange{{Name: long}}), fault.Invalid},
		"record twice":      {s.ns.ApplyRecords(s.ctx, []cluster.RecordChange{{Name: "a"}, {Name: "a"}}), fault.Invalid},
		"record value":      {s.ns.ApplyRecords(s.ctx, []cluster.RecordChange{{Name: "a", Value: bytes.Repeat([]byte{1}, 1<<16)}}), fault.TooLarge},
		"upload without id": {s.ns.CreateUpload(s.ctx, s.bucket, cluster.Upload{Key: "k", Initiated: day}), fault.Invalid},
		"zero upload":       {s.ns.AbortUpload(s.ctx, s.bucket, "k", cluster.UploadID{}), fault.NoUpload},
	} {
		if !errors.Is(tc.err, tc.kind) {
			s.Errorf("%s: got %v, want %v", name, tc.err, tc.kind)
		}
	}
	p, err := s.ns.List(s.ctx, cluster.ListRequest{Bucket: s.bucket})
	s.no(err)
	equal(s, p, cluster.ListPage{})
}
