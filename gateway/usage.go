package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"ostor/internal/cluster"
)

// usage counts requests and bytes by bucket and by user. How many there are is for clients to decide, so it keeps at most maxUsage of each: who has not been seen for the longest goes, and what was
// counted of him goes on under the name of the others. A sum over all labels never falls. What one request costs is two looks into a map and no allocation.
//
// Only what was found is counted by name: a bucket that exists, a user whose signature held. The rest is the others' too.
//
//	ostor_s3gw_bucket_req_total{bucket,kind}    requests, by kind: get, put, list, delete, other
//	ostor_s3gw_bucket_bytes_total{bucket,direction}  bytes of bodies, in and out
//	ostor_s3gw_user_req_total{user,kind}        the same by user: an id, or "anonymous"
//	ostor_s3gw_user_bytes_total{user,direction}
type usage struct {
	buckets usageTable[string]
	users   usageTable[cluster.UserID]
}

const (
	maxUsage     = 1000
	usageOther   = "_other" // no bucket's name begins like that
	usageNobody  = "anonymous"
	usageKinds   = 5
	kindOther    = 4
	directionIn  = 0
	directionOut = 1
)

var usageKindNames = [usageKinds]string{"get", "put", "list", "delete", "other"}

// usageKind says what an operation counts as.
func usageKind(op operation) int {
	switch op {
	case opGetObject, opHeadObject, opGetObjectAttributes:
		return 0
	case opPutObject, opCopyObject, opPostObject, opUploadPart, opUploadPartCopy, opCreateMultipartUpload, opCompleteMultipartUpload:
		return 1
	case opListBuckets, opListObjects, opListObjectsV2, opListObjectVersions, opListMultipartUploads, opListParts:
		return 2
	case opDeleteObject, opDeleteObjects, opAbortMultipartUpload:
		return 3
	}
	return kindOther
}

// add counts a finished request.
func (u *usage) add(c *call, in, out int64) {
	kind := usageKind(c.op)
	if c.bkt != nil {
		u.buckets.add(c.bkt.Name, kind, in, out)
	} else {
		u.buckets.other.add(kind, in, out)
	}
	if c.sig != nil || c.who.anonymous {
		u.users.add(c.who.user, kind, in, out)
	} else {
		u.users.other.add(kind, in, out)
	}
}

// usageTable holds the counters of one kind of names.
type usageTable[K comparable] struct {
	mu    sync.RWMutex
	m     map[K]*counters
	clock atomic.Uint64 // counts insertions
	other counters
}

// counters are those of one name. They are added to while the table's lock is held for reading, and moved to others' while it is held for writing.
type counters struct {
	requests [usageKinds]atomic.Uint64
	bytes    [2]atomic.Uint64
	seen     atomic.Uint64 // the table's clock when it was last used
}

func (c *counters) add(kind int, in, out int64) {
	c.requests[kind].Add(1)
	if in > 0 {
		c.bytes[directionIn].Add(uint64(in))
	}
	if out > 0 {
		c.bytes[directionOut].Add(uint64(out))
	}
}

func (t *usageTable[K]) add(k K, kind int, in, out int64) {
	t.mu.RLock()
	c, ok := t.m[k]
	if ok {
		if now := t.clock.Load(); c.seen.Load() != now {
			c.seen.Store(now)
		}
		c.add(kind, in, out)
	}
	t.mu.RUnlock()
	if ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok = t.m[k]; !ok {
		if len(t.m) >= maxUsage {
			t.drop()
		}
		if t.m == nil {
			t.m = make(map[K]*counters)
		}
		c = new(counters)
		t.m[k] = c
	}
	c.seen.Store(t.clock.Add(1))
	c.add(kind, in, out)
}

// drop moves the counters of the names that were not seen for the longest, an eighth of all, to the others'. So the search is paid once for many.
func (t *usageTable[K]) drop() {
	now := t.clock.Load()
	// Ages are counted in insertions: a name that is used between two of them is young.
	for limit := uint64(maxUsage); len(t.m) > maxUsage-maxUsage/8; limit /= 2 {
		for k, c := range t.m {
			if len(t.m) <= maxUsage-maxUsage/8 {
				return
			}
			if now-c.seen.Load() >= limit {
				for i := range c.requests {
					t.other.requests[i].Add(c.requests[i].Load())
				}
				for i := range c.bytes {
					t.other.bytes[i].Add(c.bytes[i].Load())
				}
				delete(t.m, k)
			}
		}
	}
}

var (
	bucketRequests = prometheus.NewDesc("ostor_s3gw_bucket_req_total", "S3 requests by bucket and kind; _other: buckets beyond the thousand last used, and requests to none.", []string{"bucket", "kind"}, nil)
	bucketBytes    = prometheus.NewDesc("ostor_s3gw_bucket_bytes_total", "Bytes of request (in) and reply (out) bodies by bucket.", []string{"bucket", "direction"}, nil)
	userRequests   = prometheus.NewDesc("ostor_s3gw_user_req_total", "S3 requests by user and kind; _other: users beyond the thousand last seen, and requests whose signature did not hold.", []string{"user", "kind"}, nil)
	userBytes      = prometheus.NewDesc("ostor_s3gw_user_bytes_total", "Bytes of request (in) and reply (out) bodies by user.", []string{"user", "direction"}, nil)
)

// Describe implements prometheus.Collector.
func (u *usage) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{bucketRequests, bucketBytes, userRequests, userBytes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (u *usage) Collect(ch chan<- prometheus.Metric) {
	u.buckets.collect(ch, bucketRequests, bucketBytes, func(name string) string { return name })
	u.users.collect(ch, userRequests, userBytes, func(id cluster.UserID) string {
		if id == 0 {
			return usageNobody
		}
		return id.String()
	})
}

func (t *usageTable[K]) collect(ch chan<- prometheus.Metric, requests, bytes *prometheus.Desc, label func(K) string) {
	var out []prometheus.Metric // sent without the lock: the reader may be slow
	t.mu.RLock()
	for k, c := range t.m {
		out = c.metrics(out, requests, bytes, label(k))
	}
	out = t.other.metrics(out, requests, bytes, usageOther)
	t.mu.RUnlock()
	for _, m := range out {
		ch <- m
	}
}

// metrics appends what is not zero.
func (c *counters) metrics(out []prometheus.Metric, requests, bytes *prometheus.Desc, label string) []prometheus.Metric {
	for i := range c.requests {
		if n := c.requests[i].Load(); n > 0 {
			out = append(out, prometheus.MustNewConstMetric(requests, prometheus.CounterValue, float64(n), label, usageKindNames[i]))
		}
	}
	for i, direction := range [...]string{"in", "out"} {
		if n := c.bytes[i].Load(); n > 0 {
			out = append(out, prometheus.MustNewConstMetric(bytes, prometheus.CounterValue, float64(n), label, direction))
		}
	}
	return out
}
