package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"ostor/internal/cluster"
)

// events returns how often the bucket cache had a record, had it confirmed, read it, evicted one.
func (s *site) events() (hits, same, reads, evicted float64) {
	s.t.Helper()
	c := s.gateway.buckets.counts
	return valueOf(s.t, c.hits), valueOf(s.t, c.same), valueOf(s.t, c.reads), valueOf(s.t, c.evicted)
}

// TestBucketCacheRevalidates: within the second a record is taken as it is; after it the name server is asked, and answers with the record only when it has changed.
func TestBucketCacheRevalidates(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	now := time.Now()
	s.gateway.clock = func() time.Time { return now }
	s.cluster.buckets["box"] = cluster.Bucket{Name: "box", ID: 7, Owner: 0xa11ce, Epoch: 3}
	look := func(hits, same, reads float64) {
		t.Helper()
		h0, s0, r0, _ := s.events()
		if _, err := s.gateway.bucket(context.Background(), "box"); err != nil {
			t.Fatal(err)
		}
		h, sm, r, _ := s.events()
		if h-h0 != hits || sm-s0 != same || r-r0 != reads {
			t.Errorf("got %v hits, %v the same, %v reads; want %v, %v, %v", h-h0, sm-s0, r-r0, hits, same, reads)
		}
	}
	look(0, 0, 1)
	look(1, 0, 0)
	now = now.Add(bucketTTL - 1)
	look(1, 0, 0)
	now = now.Add(1)
	look(0, 1, 0)
	look(1, 0, 0)
	b := s.cluster.buckets["box"]
	b.Epoch, b.Versioning = 4, cluster.VersioningEnabled
	s.cluster.buckets["box"] = b
	look(1, 0, 0)
	now = now.Add(bucketTTL)
	look(0, 0, 1)
	if got, _ := s.gateway.bucket(context.Background(), "box"); got.Versioning != cluster.VersioningEnabled {
		t.Errorf("got %+v", got)
	}
	// Another life of the name is not the same, whatever its epoch.
	b.ID, b.Versioning = 8, cluster.Unversioned
	s.cluster.buckets["box"] = b
	now = now.Add(bucketTTL)
	look(0, 0, 1)
	delete(s.cluster.buckets, "box")
	now = now.Add(bucketTTL)
	if _, err := s.gateway.bucket(context.Background(), "box"); err == nil {
		t.Error("a deleted bucket is still there")
	}
	if len(s.gateway.buckets.m) != 0 || s.gateway.buckets.bytes != 0 {
		t.Errorf("%d records of %d bytes are kept", len(s.gateway.buckets.m), s.gateway.buckets.bytes)
	}
	// One that the cache has of a later epoch stays.
	newer, older := &cluster.Bucket{Name: "x", ID: 1, Epoch: 5}, &cluster.Bucket{Name: "x", ID: 1, Epoch: 4}
	s.gateway.buckets.put(newer, now)
	s.gateway.buckets.put(older, now)
	if got := s.gateway.buckets.get("x", now); got != newer {
		t.Errorf("got epoch %d", got.Epoch)
	}
}

// TestBucketCacheIsBounded: in number and in bytes, whatever is looked at, and what is used again and again stays.
func TestBucketCacheIsBounded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		count, size int
	}{{"many small", 3 * maxCachedBuckets, 0}, {"large", 1000, 20 << 10}} {
		s := newSite(t, 1)
		bc := &s.gateway.buckets
		now := time.Now()
		policy := []byte(strings.Repeat("x", tc.size))
		bc.put(&cluster.Bucket{Name: "busy", ID: 1, Epoch: 1}, now)
		lost := 0
		for i := range tc.count {
			bc.put(&cluster.Bucket{Name: fmt.Sprintf("b%d", i), ID: cluster.BucketID(i + 2), Epoch: 1, Attrs: []cluster.Attribute{{ID: cluster.AttrPolicy, Value: policy}}}, now)
			if bc.get("busy", now) == nil {
				lost++
			}
			if len(bc.m) > maxCachedBuckets || bc.bytes > maxCachedBytes {
				t.Fatalf("%s: %d records of %d bytes", tc.name, len(bc.m), bc.bytes)
			}
		}
		sum := 0
		for _, e := range bc.m {
			sum += e.size
		}
		_, _, _, evicted := s.events()
		if sum != bc.bytes || lost > 0 || int(evicted)+len(bc.m) != tc.count+1 {
			t.Errorf("%s: %d bytes counted of %d, the busy one was missed %d times, %v evicted, %d kept of %d", tc.name, bc.bytes, sum, lost, evicted, len(bc.m), tc.count+1)
		}
	}
}
