package gateway

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"ostor/gateway/intent"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

func TestObjectRoundTrip(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.want(404, "NoSuchBucket", ask{method: "GET", target: "/box/a"})
	s.want(200, "", ask{method: "PUT", target: "/box"})
	s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/a"})
	for _, size := range []int{0, 1, 4096, smallBodyBytes, smallBodyBytes + 1, 1 << 20} {
		body := strings.Repeat("x", size)
		put := s.want(200, "", ask{method: "PUT", target: "/box/dir/a", body: body, header: []string{"Content-Type: text/plain", "X-Amz-Meta-Color: blue"}})
		got := s.want(200, "", ask{method: "GET", target: "/box/dir/a"})
		if got.body != body {
			t.Errorf("size %d: got %d bytes back", size, len(got.body))
		}
		for name, want := range map[string]string{"Etag": put.header.Get("ETag"), "Content-Type": "text/plain", "X-Amz-Meta-Color": "blue", "Content-Length": fmt.Sprint(size), "Accept-Ranges": "bytes"} {
			if got.header.Get(name) != want {
				t.Errorf("size %d: %s is %q, want %q", size, name, got.header.Get(name), want)
			}
		}
		head := s.want(200, "", ask{method: "HEAD", target: "/box/dir/a"})
		if head.header.Get("Content-Length") != fmt.Sprint(size) || head.body != "" {
			t.Errorf("size %d: HEAD says %q and sends %d bytes", size, head.header.Get("Content-Length"), len(head.body))
		}
		if id := got.header.Get("X-Amz-Request-Id"); len(id) != 32 || !strings.HasPrefix(id, "8000000000000001") || id == put.header.Get("X-Amz-Request-Id") {
			t.Errorf("request id %q after %q", id, put.header.Get("X-Amz-Request-Id"))
		}
	}
	s.want(204, "", ask{method: "DELETE", target: "/box/dir/a"})
	s.want(204, "", ask{method: "DELETE", target: "/box/dir/a"})
	s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/dir/a"})
	s.want(204, "", ask{method: "DELETE", target: "/box"})
	s.want(404, "NoSuchBucket", ask{method: "GET", target: "/box?list-type=2"})
	if n := len(s.cluster.bytes); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

// TestNothingSilently asks for every sub-resource of the tables with every method: each is answered by its operation, NotImplemented or MethodNotAllowed, and none is
// taken for the plain resource.
func TestNothingSilently(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "x"})
	for path, table := range map[string]map[string]verbs{"/box": bucketVerbs, "/box/key": objectVerbs} {
		for name, v := range table {
			if name == "" {
				continue
			}
			for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
				op := v.of(method)
				if op != opNone && op != opNotImplemented {
					continue
				}
				got := s.do(ask{method: method, target: path + "?" + name})
				want := map[operation]int{opNone: 405, opNotImplemented: 501}[op]
				if got.status != want {
					t.Errorf("%s %s?%s: got %d %s, want %d", method, path, name, got.status, got.code(), want)
				}
			}
		}
	}
	// The sub-resource of another level is not an option of this one.
	s.want(405, "MethodNotAllowed", ask{method: "PUT", target: "/box/key?policy", body: "{}"})
	s.want(405, "MethodNotAllowed", ask{method: "DELETE", target: "/box?uploadId=1"})
	s.want(400, "InvalidArgument", ask{method: "GET", target: "/box?acl&policy"})
	s.want(400, "InvalidURI", ask{method: "GET", target: "/box?prefix=%zz"})
	s.want(400, "InvalidURI", ask{method: "GET", target: "/box?prefix=a;b=c"})
	s.want(400, "InvalidArgument", ask{method: "GET", target: "/box?prefix=a&prefix=b"})
	if got := s.want(200, "", ask{method: "GET", target: "/box/key"}); got.body != "x" {
		t.Errorf("the object is now %q", got.body)
	}
	for _, h := range []string{"X-Amz-Server-Side-Encryption: AES256", "X-Amz-Acl: aws-exec-read", "X-Amz-Website-Redirect-Location: /x"} {
		s.want(501, "NotImplemented", ask{method: "PUT", target: "/box/other", body: "x", header: []string{h}})
	}
	s.want(400, "InvalidStorageClass", ask{method: "PUT", target: "/box/other", body: "x", header: []string{"X-Amz-Storage-Class: GLACIER"}})
	s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/other"})
}

func TestOwnersOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "x"})
	s.want(200, "", ask{method: "PUT", target: "/bobs", key: bob})
	for _, who := range []string{bob, "-"} {
		for _, a := range []ask{
			{method: "GET", target: "/box"}, {method: "HEAD", target: "/box"}, {method: "GET", target: "/box?location"}, {method: "GET", target: "/box?uploads"}, {method: "DELETE", target: "/box"},
			{method: "GET", target: "/box/key"}, {method: "HEAD", target: "/box/key"}, {method: "PUT", target: "/box/key", body: "y"}, {method: "DELETE", target: "/box/key"},
			{method: "POST", target: "/box/key?uploads"}, {method: "POST", target: "/box?delete", body: "<Delete/>"}, {method: "GET", target: "/box/key?acl"},
			{method: "PUT", target: "/box/key?partNumber=1&uploadId=00", body: "y"},
		} {
			a.key = who
			code := "AccessDenied"
			if a.method == "HEAD" {
				code = ""
			}
			s.want(403, code, a)
		}
	}
	s.want(403, "AccessDenied", ask{method: "PUT", target: "/bobs/copy", key: bob, header: []string{"X-Amz-Copy-Source: /box/key"}})
	s.want(403, "AccessDenied", ask{method: "GET", target: "/", key: "-"})
	s.want(409, "BucketAlreadyExists", ask{method: "PUT", target: "/box", key: bob})
	s.want(200, "", ask{method: "PUT", target: "/box"}) // us-east-1: one's own again
	s.want(403, "AccessDenied", ask{method: "GET", target: "/box/key", header: []string{"X-Amz-Expected-Bucket-Owner: 1"}})
	if got := s.want(200, "", ask{method: "GET", target: "/box/key"}); got.body != "x" {
		t.Errorf("the object is now %q", got.body)
	}
	if got := s.want(200, "", ask{method: "GET", target: "/", key: bob}); strings.Contains(got.body, "box") || !strings.Contains(got.body, "<Name>bobs</Name>") {
		t.Errorf("bob sees %s", got.body)
	}
}

func TestVirtualHosts(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/", host: "my.box.s3.example.com"})
	s.want(200, "", ask{method: "PUT", target: "/my.box//key", body: "x", host: "MY.BOX.S3.example.com:9000"})
	if got := s.want(200, "", ask{method: "GET", target: "/my.box/my.box//key"}); got.body != "x" {
		t.Errorf("got %q", got.body)
	}
	if got := s.want(200, "", ask{method: "GET", target: "/", host: "s3.example.com"}); !strings.Contains(got.body, "ListAllMyBucketsResult") {
		t.Errorf("the bare domain shows %s", got.body)
	}
	// Another host's signature does not open a bucket here: the host is signed, whatever a proxy header says.
	s.want(404, "NoSuchKey", ask{method: "GET", target: "/key", host: "my.box.s3.example.com", header: []string{"X-Forwarded-Host: other.s3.example.com"}})
}

func TestReplacedWhileRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "old"})
	var reads atomic.Int32
	s.cluster.onRead = func(cluster.Link) error {
		if reads.Add(1) == 1 { // between the lookup and the read
			s.want(200, "", ask{method: "PUT", target: "/box/key", body: "newer"})
		}
		return nil
	}
	if got := s.want(200, "", ask{method: "GET", target: "/box/key"}); got.body != "newer" || got.header.Get("Content-Length") != "5" {
		t.Errorf("got %q", got.body)
	}
	reads.Store(0)
	if got := s.want(200, "", ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key"}}); !strings.Contains(got.body, "CopyObjectResult") {
		t.Errorf("got %s", got.body)
	}
	s.cluster.onRead = nil
	// Content that stays away is damage, not a missing key.
	clear(s.cluster.bytes)
	s.want(500, "InternalError", ask{method: "GET", target: "/box/key"})
}

// TestPartsReplacedWhileRead replaces an object of parts twice, each time between the lookup and the read.
func TestPartsReplacedWhileRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "abc"})
	names := s.cluster.names[0]
	bucket := s.cluster.buckets["box"].ID
	e := names.entries[bucket]["key"]
	there := e.Content
	e.Content, e.PartCount = cluster.Link{}, 1
	names.entries[bucket]["key"] = e
	lookups, replaced := 0, 2
	names.parts = func() []cluster.Part {
		p := cluster.Part{Number: 1, Size: 3, Content: cluster.Link{Server: there.Server, Object: cluster.NewObjectID()}}
		if lookups++; lookups > replaced {
			p.Content = there
		}
		e.Version.Sequence++
		names.entries[bucket]["key"] = e
		return []cluster.Part{p}
	}
	if got := s.want(200, "", ask{method: "GET", target: "/box/key"}); got.body != "abc" {
		t.Errorf("got %q", got.body)
	}
}

func TestDamageIsNeverSent(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "body"})
	s.cluster.onRead = func(cluster.Link) error { return &fault.Corruption{File: "pool-00.0", What: "block"} }
	got := s.want(500, "InternalError", ask{method: "GET", target: "/box/key"})
	if strings.Contains(got.body, "pool-00") {
		t.Errorf("a client is told where: %s", got.body)
	}
	// A copy whose source cannot be read failed here: the client sent no body that could be incomplete.
	s.want(500, "InternalError", ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key"}})
	s.cluster.onRead = func(cluster.Link) error { return fault.Unavailable }
	s.want(503, "ServiceUnavailable", ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key"}})
	s.cluster.onRead = func(cluster.Link) error { panic("a bug") }
	s.want(500, "InternalError", ask{method: "GET", target: "/box/key"})
	if n := valueOf(t, s.gateway.metrics.panics); n != 1 {
		t.Errorf("%v panics counted", n)
	}
}

// TestBucketMadeAnew deletes and makes a bucket behind the gateway's cache: the next request works at once in the new one and sees nothing of the old.
func TestBucketMadeAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	other := newSite(t, 2)
	other.cluster = s.cluster
	other.gateway.topology, other.gateway.intents = s.cluster, intent.New(s.cluster, nil)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	s.want(200, "", ask{method: "PUT", target: "/box/old", body: "x"})
	other.want(204, "", ask{method: "DELETE", target: "/box/old"})
	other.want(204, "", ask{method: "DELETE", target: "/box"})
	s.want(404, "NoSuchBucket", ask{method: "PUT", target: "/box/new", body: "x"})
	other.want(200, "", ask{method: "PUT", target: "/box"})
	for i, a := range []ask{{method: "PUT", target: "/box/new", body: "x"}, {method: "GET", target: "/box/new"}, {method: "GET", target: "/box"}, {method: "DELETE", target: "/box/new"}} {
		if i > 0 { // make s's cache stale again
			b := s.cluster.buckets["box"]
			b.ID = 999
			s.cluster.sealed[999] = true
			s.gateway.buckets.put(&b, s.gateway.clock())
		}
		if got := s.do(a); got.status > 204 {
			t.Errorf("%s %s: got %d %s", a.method, a.target, got.status, got.body)
		}
	}
}

func TestFailedWritesLeaveNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	large := strings.Repeat("y", smallBodyBytes+1)
	for _, body := range []string{"x", large} {
		s.want(400, "BadDigest", ask{method: "PUT", target: "/box/key", body: body, header: []string{"Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg=="}})
		s.want(400, "BadDigest", ask{method: "PUT", target: "/box/key", body: body, header: []string{"X-Amz-Checksum-Crc32: AAAAAA=="}})
		s.want(412, "PreconditionFailed", ask{method: "PUT", target: "/box/other", body: body, header: []string{"If-None-Match: *"}, key: func() string {
			s.want(200, "", ask{method: "PUT", target: "/box/other"})
			return alice
		}()})
		s.want(404, "NoSuchKey", ask{method: "PUT", target: "/box/key", body: body, header: []string{"If-Match: \"abc\""}})
		for _, kind := range []fault.Kind{fault.NoSpace, fault.Unavailable, fault.GuardGone, fault.Stale} {
			status, code := 503, "ServiceUnavailable"
			if kind == fault.NoSpace {
				status, code = 507, "InsufficientStorage"
			}
			s.cluster.onCreate = func() error { return kind }
			if got := s.want(status, code, ask{method: "PUT", target: "/box/key", body: body}); status == 503 && got.header.Get("Retry-After") == "" {
				t.Errorf("%v: no Retry-After", kind)
			}
			s.cluster.onCreate = nil
			s.cluster.onGuard = func() error { return kind }
			s.want(status, code, ask{method: "PUT", target: "/box/key", body: body})
			s.cluster.onGuard = nil
		}
		s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/key"})
		if len(s.cluster.bytes) != 0 || len(s.cluster.guards) != 0 {
			t.Errorf("%d objects and %d guards are left", len(s.cluster.bytes), len(s.cluster.guards))
		}
	}
	// One object server away: writes go to another, long ones too, as nothing was read of them.
	s.cluster.refuse[cluster.NewServiceID(cluster.TypeObject, 0)] = true
	stored := 0
	for i := range 8 {
		if s.do(ask{method: "PUT", target: "/box/key", body: []string{"x", large}[i%4/2]}).status == 200 {
			stored++
		}
	}
	if stored != 8 {
		t.Errorf("%d of 8 writes found another object server", stored)
	}
}

func TestShed(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.gateway.slots = 0
	if got := s.want(503, "SlowDown", ask{method: "GET", target: "/"}); got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if n := valueOf(t, s.gateway.metrics.shed); n != 1 {
		t.Errorf("%v requests counted as refused", n)
	}
}

// TestListMerge lists random buckets of several name servers in pages of every size and compares with a plain computation.
func TestListMerge(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for round := range 30 {
		s := newSite(t, 1+round%4)
		id := cluster.BucketID(7)
		keys := map[string]bool{}
		for range 60 {
			parts := make([]string, 1+rng.IntN(3))
			for i := range parts {
				parts[i] = string("abz-/"[rng.IntN(5)]) + string("01"[rng.IntN(2)])
			}
			keys[strings.Join(parts, "/")] = true
		}
		for k := range keys {
			ns, _ := s.cluster.NameServerFor(id, k)
			n := ns.(*fakeNames)
			if n.entries[id] == nil {
				n.entries[id] = map[string]cluster.Entry{}
			}
			n.entries[id][k] = cluster.Entry{Key: k}
		}
		for _, prefix := range []string{"", "a", "a0/", "-"} {
			for _, delimiter := range []string{"", "/", "0/"} {
				want := plainList(keys, prefix, delimiter)
				for limit := 1; limit < 12; limit += 1 + rng.IntN(3) {
					var got []string
					r := cluster.ListRequest{Bucket: id, Prefix: prefix, Delimiter: delimiter, Limit: limit}
					for {
						page, err := s.gateway.list(t.Context(), r)
						if err != nil {
							t.Fatal(err)
						}
						var names []string
						for _, e := range page.entries {
							names = append(names, e.Key)
						}
						names = append(names, page.prefixes...)
						slices.Sort(names)
						if len(names) > limit || page.more && len(names) != limit {
							t.Fatalf("seed %d round %d: a page of %d names for a limit of %d, more %v", seed, round, len(names), limit, page.more)
						}
						got = append(got, names...)
						if !page.more {
							break
						}
						r.After = page.last
					}
					if !slices.Equal(got, want) {
						t.Fatalf("seed %d round %d, prefix %q delimiter %q limit %d:\n got %q\nwant %q", seed, round, prefix, delimiter, limit, got, want)
					}
				}
			}
		}
	}
}

func plainList(keys map[string]bool, prefix, delimiter string) []string {
	set := map[string]bool{}
	for k := range keys {
		rest, ok := strings.CutPrefix(k, prefix)
		if !ok {
			continue
		}
		if i := strings.Index(rest, delimiter); delimiter != "" && i >= 0 {
			k = prefix + rest[:i+len(delimiter)]
		}
		set[k] = true
	}
	var out []string
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func TestErrorTable(t *testing.T) {
	t.Parallel()
	for k := fault.NotFound; k <= fault.MethodNotAllowed; k++ {
		if _, ok := errorOfKind[k]; !ok {
			t.Errorf("fault.%v has no S3 error", k)
		}
		wrapped := fmt.Errorf("outer: %w", fault.Wrap(k, errors.New("cause"), "inner"))
		if got := errorFor(wrapped); got != errorOfKind[k] {
			t.Errorf("%v: got %v, want %v", k, got, errorOfKind[k])
		}
	}
	if got := errorFor(errors.New("unknown")); got.Status != http.StatusInternalServerError {
		t.Errorf("an error without a kind: got %v", got)
	}
}

func valueOf(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}
