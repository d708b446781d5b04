package nameserver

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
)

// TestLargestUpload completes, reads and deletes an object of 10,000 parts whose records are as long as they can be: every batch fits the store.
func TestLargestUpload(t *testing.T) {
	t.Parallel()
	n := int32(cluster.MaxParts)
	if testing.Short() {
		n = 500
	}
	st := newSite(memfs.New())
	st.opts.SegmentBytes, st.opts.LogBytes = 0, 0
	st.opts.GarbageDelay = time.Hour
	s := st.mustOpen(t, false)
	key := strings.Repeat("\x00", cluster.MaxKeyBytes)
	id := cluster.NewUploadID()
	if err := s.CreateUpload(ctxb, 1, cluster.Upload{ID: id, Key: key, Initiated: when}); err != nil {
		t.Fatal(err)
	}
	r := cluster.CompleteUploadRequest{Bucket: 1, Key: key, ID: id, Modified: when}
	p := cluster.Part{Size: cluster.MinPartBytes, ETag: strings.Repeat("e", maxETagBytes), Modified: when,
		Checksum: cluster.Checksum{Algorithm: cluster.ChecksumSHA256, Value: bytes.Repeat([]byte{1}, maxChecksumBytes)}}
	for i := range n {
		p.Number, p.Content = i+1, st.links.Make(uint64(1+i%3))
		if err := s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: key, Content: p.Content, Timeout: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if err := s.PutPart(ctxb, 1, key, id, p); err != nil {
			t.Fatal(err)
		}
		if i%100 != 7 { // some are left out
			r.Parts = append(r.Parts, cluster.CompletePart{Number: p.Number, ETag: p.ETag, Checksum: p.Checksum})
		}
	}
	start := time.Now()
	e, err := s.CompleteUpload(ctxb, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("complete of %d parts: %s", e.PartCount, time.Since(start))
	if again, err := s.CompleteUpload(ctxb, r); err != nil || again.Version != e.Version {
		t.Fatalf("the second complete: %v, version %s, want %s", err, again.Version, e.Version)
	}
	st.clock.Advance(2 * time.Hour)
	collectNow(t, s)
	if got := st.links.Len(); got != len(r.Parts) {
		t.Fatalf("%d objects are left, want the %d of the table", got, len(r.Parts))
	}
	last, err := s.Parts(ctxb, 1, key, e.Table, e.Size-1, 0)
	if err != nil || len(last) != 1 || last[0].Number != n {
		t.Fatalf("the last byte is in %d parts, %v", len(last), err)
	}
	if _, err := s.DeleteEntry(ctxb, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: key}}); err != nil {
		t.Fatal(err)
	}
	st.clock.Advance(2 * time.Hour)
	collectNow(t, s)
	if st.links.Len() != 0 || queueLength(t, s) != 0 {
		t.Fatalf("%d objects and %d entries are left", st.links.Len(), queueLength(t, s))
	}
}
