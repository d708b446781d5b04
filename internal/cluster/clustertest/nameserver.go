package clustertest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// NameServerSetup is a name server under test: a fresh one without buckets.
type NameServerSetup struct {
	Server cluster.NameServer
	Links  *Links // its object servers
	// Collect expires guards and collects garbage that is due; Advance moves the server's clock. Both nil where the test cannot reach them, as over RPC: what needs them is
	// skipped. The delay of garbage must be none.
	Collect func(ctx context.Context) error
	Advance func(d time.Duration)
}

// NameServer tests that an implementation keeps the contract of [cluster.NameServer]. open is called for every subtest and cleans up by itself.
func NameServer(t *testing.T, open func(t *testing.T) NameServerSetup) {
	for _, tc := range []struct {
		name string
		run  func(*suite)
	}{
		{"Buckets", testBuckets}, {"BucketPages", testBucketPages}, {"Seal", testSeal}, {"SealForce", testSealForce}, {"SealEpochs", testSealEpochs}, {"Guards", testGuards},
		{"GuardExpiry", testGuardExpiry}, {"Entry", testEntry}, {"Overwrite", testOverwrite}, {"Versions", testVersions}, {"Suspended", testSuspended},
		{"Conditions", testConditions}, {"ConditionRace", testConditionRace}, {"UpdateEntry", testUpdateEntry}, {"List", testList},
		{"ListProperty", testListProperty}, {"ListVersions", testListVersions}, {"Multipart", testMultipart}, {"CompleteErrors", testCompleteErrors},
		{"ManyParts", testManyParts}, {"Uploads", testUploads}, {"Records", testRecords}, {"Invalid", testInvalid},
		{"Links", testLinks}, {"LinksRace", testLinksRace},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			set := open(t)
			tc.run(&suite{T: t, NameServerSetup: set, ns: set.Server, ctx: t.Context(), bucket: cluster.BucketID(cluster.RandomID())})
		})
	}
}

type suite struct {
	*testing.T
	NameServerSetup
	ns     cluster.NameServer
	ctx    context.Context
	bucket cluster.BucketID
}

var day = time.Date(2024, 2, 29, 12, 30, 15, 123e6, time.UTC)

func (s *suite) no(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("unexpected error: %v", err)
	}
}

func (s *suite) want(err error, kind fault.Kind) {
	s.Helper()
	if !errors.Is(err, kind) {
		s.Fatalf("got error %v, want %v", err, kind)
	}
}

func equal[T any](s *suite, got, want T) {
	s.Helper()
	if !reflect.DeepEqual(got, want) {
		s.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// guarded makes an object and a guard for it.
func (s *suite) guarded(key string) cluster.Link {
	s.Helper()
	l := s.Links.Make(1)
	s.no(s.ns.Guard(s.ctx, cluster.Guard{Bucket: s.bucket, Key: key, Content: l, Timeout: time.Hour}))
	return l
}

// entry is a small object with everything set.
func (s *suite) entry(key string) cluster.Entry {
	return cluster.Entry{Key: key, Modified: day, Owner: 7, Size: 5, ETag: "5d41402abc4b2a76b9719d911017c592", Content: s.guarded(key), StorageClass: 2,
		Headers:  []cluster.Header{{Name: "cache-control", Value: "no-store"}, {Name: "content-type", Value: "text/plain"}},
		UserMeta: []cluster.Header{{Name: "a", Value: ""}, {Name: "b", Value: "\u00fc\x00"}},
		Checksum: cluster.Checksum{Algorithm: cluster.ChecksumCRC32C, Value: []byte{1, 2, 3, 4}},
		Attrs:    []cluster.Attribute{{ID: cluster.AttrACL, Value: []byte("acl")}, {ID: cluster.AttrTags, Value: []byte("tags")}}}
}

func (s *suite) create(key string, v cluster.Versioning) cluster.Entry {
	s.Helper()
	e, err := s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Versioning: v, Entry: s.entry(key)})
	s.no(err)
	return e
}

func (s *suite) lookup(key string) (cluster.Entry, error) {
	return s.ns.Lookup(s.ctx, cluster.LookupRequest{Bucket: s.bucket, Key: key})
}

func (s *suite) delete(key string, v cluster.Versioning) cluster.Deleted {
	s.Helper()
	d, err := s.ns.DeleteEntry(s.ctx, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: key}, Versioning: v, Owner: 9, Modified: day})
	s.no(err)
	return d
}

// collected asserts that of the links exactly those kept are left, if the test can collect.
func (s *suite) collected(all []cluster.Link, kept ...cluster.Link) {
	s.Helper()
	if s.Collect == nil {
		return
	}
	s.no(s.Collect(s.ctx))
	for i, l := range all {
		if got, want := s.Links.Has(l), slices.Contains(kept, l); got != want {
			s.Fatalf("link %d is kept: %t, want %t", i, got, want)
		}
	}
}

func testBuckets(s *suite) {
	b := cluster.Bucket{Name: "photos", ID: 11, Owner: 5, Created: day, Location: "eu", Attrs: []cluster.Attribute{{ID: cluster.AttrACL, Value: []byte("x")}}}
	_, err := s.ns.GetBucket(s.ctx, "photos")
	s.want(err, fault.NoBucket)
	got, err := s.ns.CreateBucket(s.ctx, b)
	s.no(err)
	b.Epoch = 1
	equal(s, got, b)
	other := b
	other.ID, other.Owner = 12, 6
	got, err = s.ns.CreateBucket(s.ctx, other)
	s.want(err, fault.Exists)
	equal(s, got, b)
	got, err = s.ns.GetBucket(s.ctx, "photos")
	s.no(err)
	equal(s, got, b)

	since := func(id cluster.BucketID, epoch cluster.Epoch, same bool, want cluster.Bucket) {
		s.Helper()
		got, ok, err := s.ns.GetBucketSince(s.ctx, "photos", id, epoch)
		s.no(err)
		equal(s, ok, same)
		equal(s, got, want)
	}
	since(b.ID, b.Epoch, true, cluster.Bucket{})
	since(b.ID, b.Epoch-1, false, b)
	since(b.ID+1, b.Epoch, false, b) // another life of the name
	_, _, err = s.ns.GetBucketSince(s.ctx, "none", b.ID, b.Epoch)
	s.want(err, fault.NoBucket)

	change := b
	change.Owner, change.Versioning, change.Attrs, change.Location = 6, cluster.VersioningEnabled, nil, "ignored"
	got, err = s.ns.UpdateBucket(s.ctx, change)
	s.no(err)
	want := change
	want.Epoch, want.Location = 2, "eu"
	equal(s, got, want)
	_, err = s.ns.UpdateBucket(s.ctx, change)
	s.want(err, fault.Stale)
	change.Epoch, change.ID = 2, 99
	_, err = s.ns.UpdateBucket(s.ctx, change)
	s.want(err, fault.NoBucket)
	change.ID, change.Versioning = 11, cluster.Unversioned
	_, err = s.ns.UpdateBucket(s.ctx, change)
	s.want(err, fault.Invalid)
	for owner, n := range map[cluster.UserID]int{5: 0, 6: 1, 0: 1} {
		p, err := s.ns.ListBuckets(s.ctx, cluster.ListBucketsRequest{Owner: owner})
		s.no(err)
		equal(s, len(p.Buckets), n)
	}
	s.want(s.ns.DeleteBucket(s.ctx, "photos", 12, 2), fault.NoBucket)
	s.want(s.ns.DeleteBucket(s.ctx, "photos", 11, 1), fault.Stale)
	s.no(s.ns.DeleteBucket(s.ctx, "photos", 11, 2))
	s.want(s.ns.DeleteBucket(s.ctx, "photos", 11, 2), fault.NoBucket)
	p, err := s.ns.ListBuckets(s.ctx, cluster.ListBucketsRequest{Owner: 6})
	s.no(err)
	equal(s, p, cluster.BucketPage{})
}

func testBucketPages(s *suite) {
	var names []string
	for i := range 25 {
		n := fmt.Sprintf("b%02d", i)
		names = append(names, n)
		_, err := s.ns.CreateBucket(s.ctx, cluster.Bucket{Name: n, ID: cluster.BucketID(100 + i), Owner: cluster.UserID(1 + i%2), Created: day})
		s.no(err)
	}
	for _, owner := range []cluster.UserID{0, 1, 2} {
		for _, prefix := range []string{"", "b1", "c"} {
			var got, want []string
			for i, n := range names {
				if strings.HasPrefix(n, prefix) && (owner == 0 || owner == cluster.UserID(1+i%2)) {
					want = append(want, n)
				}
			}
			for r := (cluster.ListBucketsRequest{Owner: owner, Prefix: prefix, Limit: 3}); ; {
				p, err := s.ns.ListBuckets(s.ctx, r)
				s.no(err)
				for _, b := range p.Buckets {
					got = append(got, b.Name)
				}
				if !p.More {
					break
				}
				equal(s, len(p.Buckets), 3)
				r.After = got[len(got)-1]
			}
			equal(s, got, want)
		}
	}
}

func testSeal(s *suite) {
	e := s.create("a", cluster.Unversioned)
	s.want(s.ns.SealBucket(s.ctx, s.bucket, 3, false), fault.NotEmpty)
	s.delete("a", cluster.VersioningEnabled) // a delete marker counts
	s.want(s.ns.SealBucket(s.ctx, s.bucket, 3, false), fault.NotEmpty)
	p, err := s.ns.ListVersions(s.ctx, cluster.ListVersionsRequest{Bucket: s.bucket})
	s.no(err)
	equal(s, len(p.Entries), 2)
	for _, v := range p.Entries {
		_, err = s.ns.DeleteEntry(s.ctx, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: s.bucket, Key: "a", Version: v.Version}})
		s.no(err)
	}
	id := cluster.NewUploadID()
	s.no(s.ns.CreateUpload(s.ctx, s.bucket, cluster.Upload{ID: id, Key: "up", Initiated: day}))
	part := s.guarded("up")
	s.no(s.ns.PutPart(s.ctx, s.bucket, "up", id, cluster.Part{Number: 1, Size: 1, Content: part, ETag: "e", Modified: day}))
	late := s.guarded("late")
	s.no(s.ns.SealBucket(s.ctx, s.bucket, 3, false))
	s.no(s.ns.SealBucket(s.ctx, s.bucket, 3, false))
	s.closed("up", id, late)
	s.collected([]cluster.Link{e.Content, part, late}, late)
	s.no(s.ns.UnsealBucket(s.ctx, s.bucket, 3))
	s.no(s.ns.UnsealBucket(s.ctx, s.bucket, 3))
	_, err = s.ns.GetUpload(s.ctx, s.bucket, "up", id)
	s.want(err, fault.NoUpload)
	s.create("b", cluster.Unversioned)
	_, err = s.lookup("b")
	s.no(err)
	second := cluster.NewUploadID()
	s.no(s.ns.CreateUpload(s.ctx, s.bucket, cluster.Upload{ID: second, Key: "up", Initiated: day}))
	s.collected(nil)
	_, err = s.ns.GetUpload(s.ctx, s.bucket, "up", second)
	s.no(err)
}

// closed asserts that every call about objects of the bucket is refused.
func (s *suite) closed(key string, id cluster.UploadID, guarded cluster.Link) {
	s.Helper()
	at := cluster.LookupRequest{Bucket: s.bucket, Key: key}
	for name, call := range map[string]func() error{
		"Guard": func() error {
			return s.ns.Guard(s.ctx, cluster.Guard{Bucket: s.bucket, Key: key, Content: s.Links.Make(1), Timeout: time.Hour})
		},
		"CreateEntry": func() error {
			e := cluster.Entry{Key: "late", Content: guarded, Modified: day}
			if !guarded.IsZero() {
				e.Size = 1
			}
			_, err := s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: e})
			return err
		},
		"Lookup": func() error { _, err := s.ns.Lookup(s.ctx, at); return err },
		"UpdateEntry": func() error {
			_, err := s.ns.UpdateEntry(s.ctx, cluster.UpdateEntryRequest{LookupRequest: at})
			return err
		},
		"DeleteEntry": func() error {
			_, err := s.ns.DeleteEntry(s.ctx, cluster.DeleteEntryRequest{LookupRequest: at})
			return err
		},
		"List": func() error { _, err := s.ns.List(s.ctx, cluster.ListRequest{Bucket: s.bucket}); return err },
		"ListVersions": func() error {
			_, err := s.ns.ListVersions(s.ctx, cluster.ListVersionsRequest{Bucket: s.bucket})
			return err
		},
		"Parts": func() error {
			_, err := s.ns.Parts(s.ctx, s.bucket, key, cluster.ObjectID(id), 0, 0)
			return err
		},
		"CreateUpload": func() error {
			return s.ns.CreateUpload(s.ctx, s.bucket, cluster.Upload{ID: cluster.NewUploadID(), Key: key, Initiated: day})
		},
		"GetUpload": func() error { _, err := s.ns.GetUpload(s.ctx, s.bucket, key, id); return err },
		"PutPart": func() error {
			return s.ns.PutPart(s.ctx, s.bucket, key, id, cluster.Part{Number: 1, Modified: day})
		},
		"ListParts": func() error { _, _, err := s.ns.ListParts(s.ctx, s.bucket, key, id, 0, 0); return err },
		"ListUploads": func() error {
			_, err := s.ns.ListUploads(s.ctx, cluster.ListUploadsRequest{Bucket: s.bucket})
			return err
		},
		"CompleteUpload": func() error {
			_, err := s.ns.CompleteUpload(s.ctx, cluster.CompleteUploadRequest{Bucket: s.bucket, Key: key, ID: id, Parts: []cluster.CompletePart{{Number: 1}}, Modified: day})
			return err
		},
		"AbortUpload": func() error { return s.ns.AbortUpload(s.ctx, s.bucket, key, id) },
	} {
		if err := call(); !errors.Is(err, fault.NoBucket) {
			s.Errorf("%s in a sealed bucket: got %v, want %v", name, err, fault.NoBucket)
		}
	}
}

func testSealForce(s *suite) {
	var all []cluster.Link
	for i := range 40 {
		all = append(all, s.create(fmt.Sprintf("k%d", i%7), cluster.VersioningEnabled).Content)
	}
	id, parts := s.upload("mp", 3)
	_, err := s.ns.CompleteUpload(s.ctx, s.complete("mp", id, parts))
	s.no(err)
	open, openParts := s.upload("open", 2)
	for _, p := range append(parts, openParts...) {
		all = append(all, p.Content)
	}
	s.no(s.ns.SealBucket(s.ctx, s.bucket, 3, true))
	s.closed("open", open, cluster.Link{})
	s.collected(all)
	s.no(s.ns.UnsealBucket(s.ctx, s.bucket, 3))
	p, err := s.ns.ListVersions(s.ctx, cluster.ListVersionsRequest{Bucket: s.bucket})
	s.no(err)
	equal(s, p, cluster.ListPage{})
	u, err := s.ns.ListUploads(s.ctx, cluster.ListUploadsRequest{Bucket: s.bucket})
	s.no(err)
	equal(s, u, cluster.UploadPage{})
}

// testSealEpochs: what somebody does late, who does not know that another one went on, neither closes a bucket for good nor opens one that is being deleted.
func testSealEpochs(s *suite) {
	isOpen := func(want bool) {
		s.Helper()
		_, err := s.ns.List(s.ctx, cluster.ListRequest{Bucket: s.bucket})
		if got := err == nil; got != want || !got && !errors.Is(err, fault.NoBucket) {
			s.Errorf("got %v; want an open bucket: %v", err, want)
		}
	}
	s.no(s.ns.UnsealBucket(s.ctx, s.bucket, 3)) // a deletion that did not come as far as this server
	s.want(s.ns.SealBucket(s.ctx, s.bucket, 3, false), fault.Stale)
	s.want(s.ns.SealBucket(s.ctx, s.bucket, 2, true), fault.Stale)
	isOpen(true)
	s.no(s.ns.SealBucket(s.ctx, s.bucket, 4, false))
	isOpen(false)
	s.no(s.ns.UnsealBucket(s.ctx, s.bucket, 3))
	isOpen(false)
	s.no(s.ns.SealBucket(s.ctx, s.bucket, 6, false))
	s.no(s.ns.SealBucket(s.ctx, s.bucket, 5, false)) // sealed it is
	s.no(s.ns.UnsealBucket(s.ctx, s.bucket, 5))
	isOpen(false)
	s.no(s.ns.UnsealBucket(s.ctx, s.bucket, 6))
	isOpen(true)
	s.no(s.ns.UnsealBucket(s.ctx, s.bucket, 4))
	s.want(s.ns.SealBucket(s.ctx, s.bucket, 6, false), fault.Stale)
	s.create("a", cluster.Unversioned)
	s.want(s.ns.SealBucket(s.ctx, s.bucket, 7, false), fault.NotEmpty)
	isOpen(true)
}

func testConditionRace(s *suite) {
	const n = 16
	var wg sync.WaitGroup
	won := make(chan cluster.Entry, n)
	entries := make([]cluster.Entry, n)
	for i := range entries {
		entries[i] = s.entry("one")
		entries[i].Size = int64(i + 1)
	}
	for _, e := range entries {
		wg.Go(func() {
			e, err := s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Entry: e, Condition: cluster.Condition{IfNoneMatch: "*"}})
			if err == nil {
				won <- e
			} else if !errors.Is(err, fault.Precondition) {
				s.Errorf("got %v, want %v", err, fault.Precondition)
			}
		})
	}
	wg.Wait()
	equal(s, len(won), 1)
	got, err := s.lookup("one")
	s.no(err)
	equal(s, got, <-won)
}
