package clustertest

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

func sortedIDs(links ...cluster.Link) (ids []cluster.ObjectID) {
	for _, l := range links {
		ids = append(ids, l.Object)
	}
	slices.SortFunc(ids, func(a, b cluster.ObjectID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// testLinks puts an object at every place that can refer to one, and asks about it together with objects that nothing refers to.
func testLinks(s *suite) {
	os1 := cluster.NewServiceID(cluster.TypeObject, 1)
	var known []cluster.Link
	old := s.create("k", cluster.VersioningEnabled) // noncurrent
	cur := s.create("k", cluster.VersioningEnabled)
	hidden := s.create("hidden", cluster.VersioningEnabled) // behind a delete marker
	s.delete("hidden", cluster.VersioningEnabled)
	known = append(known, old.Content, cur.Content, hidden.Content, s.guarded("guarded"))
	upload := func(key string) (cluster.UploadID, cluster.Link) {
		id := cluster.NewUploadID()
		s.no(s.ns.CreateUpload(s.ctx, s.bucket, cluster.Upload{ID: id, Key: key, Initiated: day}))
		l := s.guarded(key)
		s.no(s.ns.PutPart(s.ctx, s.bucket, key, id, cluster.Part{Number: 7, Size: 5, Content: l, ETag: "e", Modified: day}))
		return id, l
	}
	_, part := upload("running")
	id, done := upload("done")
	_, err := s.ns.CompleteUpload(s.ctx, cluster.CompleteUploadRequest{Bucket: s.bucket, Key: "done", ID: id, Parts: []cluster.CompletePart{{Number: 7, ETag: "e"}}, Modified: day, ETag: "x-1"})
	s.no(err)
	known = append(known, part, done)

	strays := []cluster.Link{s.Links.Make(1), s.Links.Make(1)}
	elsewhere := cluster.Link{Server: cluster.NewServiceID(cluster.TypeObject, 2), Object: cur.Content.Object}
	ask := sortedIDs(append(slices.Clone(known), strays...)...)
	slices.Reverse(ask)
	unknown, err := s.ns.UnknownLinks(s.ctx, os1, append(ask, ask[0]))
	s.no(err)
	equal(s, unknown, sortedIDs(strays...))
	// A guard for one of those comes too late, one for any other does not.
	s.want(s.ns.Guard(s.ctx, cluster.Guard{Bucket: s.bucket, Key: "k", Content: strays[0], Timeout: time.Hour}), fault.GuardGone)
	s.no(s.ns.Guard(s.ctx, cluster.Guard{Bucket: s.bucket, Key: "k", Content: cluster.Link{Server: elsewhere.Server, Object: strays[0].Object}, Timeout: time.Hour}))
	s.guarded("another")
	// The next call lets go of those of the last.
	unknown, err = s.ns.UnknownLinks(s.ctx, os1, sortedIDs(known...))
	s.no(err)
	equal(s, len(unknown), 0)
	s.no(s.ns.Guard(s.ctx, cluster.Guard{Bucket: s.bucket, Key: "k", Content: strays[0], Timeout: time.Hour}))
	unknown, err = s.ns.UnknownLinks(s.ctx, os1, sortedIDs(strays...))
	s.no(err)
	equal(s, unknown, sortedIDs(strays[1]))
	// The object of the same id on another server is another object.
	unknown, err = s.ns.UnknownLinks(s.ctx, elsewhere.Server, sortedIDs(elsewhere))
	s.no(err)
	equal(s, unknown, sortedIDs(elsewhere))

	found, err := s.ns.FindLinks(s.ctx, os1, sortedIDs(old.Content, cur.Content, done, part, strays[1]))
	s.no(err)
	slices.SortFunc(found, func(a, b cluster.LinkHolder) int { return bytes.Compare(a.Object[:], b.Object[:]) })
	want := []cluster.LinkHolder{{Object: old.Content.Object, Bucket: s.bucket, Key: "k", Version: old.Version}, {Object: cur.Content.Object, Bucket: s.bucket, Key: "k", Version: cur.Version},
		{Object: part.Object, Bucket: s.bucket, Key: "running", Part: 7}}
	// The part of the completed upload may still be listed as that of the upload, too.
	found = slices.DeleteFunc(found, func(h cluster.LinkHolder) bool { return h.Object == done.Object && h.Key == "done" && h.Part == 7 })
	slices.SortFunc(want, func(a, b cluster.LinkHolder) int { return bytes.Compare(a.Object[:], b.Object[:]) })
	equal(s, found, want)

	_, err = s.ns.UnknownLinks(s.ctx, cluster.NewServiceID(cluster.TypeName, 1), ask)
	s.want(err, fault.Invalid)
	_, err = s.ns.FindLinks(s.ctx, os1, make([]cluster.ObjectID, cluster.MaxFindLinks+1))
	s.want(err, fault.Invalid)
}

// testLinksRace writes objects while somebody asks whether they are unknown: whatever was called unknown never gets a name, whatever has a name was not called unknown.
func testLinksRace(s *suite) {
	const writers, each = 4, 40
	os1 := cluster.NewServiceID(cluster.TypeObject, 1)
	links := make(chan cluster.Link, writers)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		named = map[cluster.ObjectID]bool{}
	)
	for range writers {
		wg.Go(func() {
			for range each {
				l := s.Links.Make(1)
				links <- l // from now on the others may ask
				err := s.ns.Guard(s.ctx, cluster.Guard{Bucket: s.bucket, Key: "k", Content: l, Timeout: time.Hour})
				if err == nil {
					_, err = s.ns.CreateEntry(s.ctx, cluster.CreateEntryRequest{Bucket: s.bucket, Versioning: cluster.VersioningEnabled,
						Entry: cluster.Entry{Key: "k", Modified: day, Size: 1, ETag: "x", Content: l}})
				}
				switch {
				case err == nil:
					mu.Lock()
					named[l.Object] = true
					mu.Unlock()
				case !errors.Is(err, fault.GuardGone):
					s.Errorf("unexpected error: %v", err)
				}
			}
		})
	}
	go func() { wg.Wait(); close(links) }()
	gone := map[cluster.ObjectID]bool{}
	var asked []cluster.ObjectID
	for l := range links {
		asked = append(asked, l.Object)
		unknown, err := s.ns.UnknownLinks(s.ctx, os1, asked)
		if err != nil {
			s.Errorf("unexpected error: %v", err)
		}
		for _, id := range unknown {
			gone[id] = true
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for id := range gone {
		if named[id] {
			s.Errorf("object %s was called unknown, and has a name", id)
		}
	}
	if len(named) == 0 {
		s.Error("no write came through")
	}
}
