package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ostor/gateway"
	"ostor/gateway/intent"
	"ostor/internal/cluster"
)

// through returns the same site behind another gateway, which sees the cluster as t shows it.
func (s *site) through(t cluster.Topology) *site {
	s.t.Helper()
	gw, err := gateway.New(gateway.Options{Topology: t, Accounts: s.accounts, Domains: []string{domain}, ServiceID: cluster.NewServiceID(cluster.TypeGateway, 2)})
	s.must(err)
	other := *s
	other.gateway, other.server = gw, httptest.NewServer(gw)
	return &other
}

// watch is a clock that a test sets.
type watch struct {
	mu  sync.Mutex
	now time.Time
}

func (w *watch) read() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *watch) add(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// finishLeft is what another gateway does in the time of its bound.
func (s *site) finishLeft() {
	s.t.Helper()
	w := &watch{now: time.Unix(1e9, 0)}
	f := intent.NewFinisher(intent.New(s.topology, nil), w.read)
	for elapsed := time.Duration(0); elapsed <= intent.Bound; elapsed += intent.Interval {
		if _, err := f.Pass(s.t.Context()); err != nil {
			s.t.Errorf("what was interrupted could not be brought to its end: %v", err)
		}
		w.add(intent.Interval)
	}
	ns, err := s.topology.NameServerOfRecord("/tmp/")
	s.must(err)
	if left, _, err := ns.ListRecords(s.t.Context(), "/tmp/", "", 0); err != nil || len(left) > 0 {
		s.t.Errorf("after %v there are records of operations under way: %v, %v", intent.Bound, left, err)
	}
}

var changing = regexp.MustCompile(`<(LastModified|CreationDate|Initiated|UploadId|VersionId|Name|Bucket|RequestId|HostId|Resource)>[^<]*</`)

// state is everything that can be seen of a bucket, without what differs from one to the next.
func (s *site) state(bucket string) string {
	s.t.Helper()
	var out strings.Builder
	for _, q := range []string{"?versions", "?uploads", "?versioning", "?policy", "?list-type=2"} {
		a := s.do(ask{method: "GET", target: "/" + bucket + q})
		if a.status >= 500 {
			s.t.Errorf("GET %s%s: %d %s", bucket, q, a.status, a.body)
		}
		fmt.Fprintln(&out, q, a.status, strings.ReplaceAll(changing.ReplaceAllString(a.body, "<$1></"), bucket, "BUCKET"))
	}
	if id := s.do(ask{method: "GET", target: "/" + bucket + "?uploads&prefix=up"}).between("UploadId"); id != "" {
		parts := s.do(ask{method: "GET", target: "/" + bucket + "/up/1?uploadId=" + id})
		fmt.Fprintln(&out, "parts", parts.status, strings.Count(parts.body, "<Part>"))
	}
	for _, key := range stepKeys {
		for _, q := range []string{"", "?tagging"} {
			a := s.do(ask{method: "GET", target: "/" + bucket + "/" + key + q})
			if a.status >= 500 {
				s.t.Errorf("GET %s/%s%s: %d %s", bucket, key, q, a.status, a.body)
			}
			if a.status != 200 {
				a.body = a.code()
			}
			fmt.Fprintf(&out, "%s%s %d %.40q %d\n", key, q, a.status, a.body, len(a.body))
		}
	}
	return out.String()
}

// stepKeys lie in directories of their own, so that they are spread over the name servers.
var stepKeys = []string{"a/1", "b/1", "c/1", "d/1", "e/1", "new/1", "up/1"}

// interrupted is an operation that is cut off at each of its steps.
type interrupted struct {
	name    string
	bucket  bool                       // there is a bucket before
	objects bool                       // with objects
	ask     func(b, upload string) ask // the operation; upload is a running one of up/1 with one part
	partly  bool                       // it is done key by key: any state between is right
	again   []int                      // what the same request may answer after the end of it all
}

var largeBody = strings.Repeat("0123456789abcdef", 20<<10)

var interruptions = []interrupted{
	{"CreateBucket", false, false, func(b, _ string) ask { return ask{method: "PUT", target: "/" + b} }, false, []int{200}},
	{"DeleteBucket", true, false, func(b, _ string) ask { return ask{method: "DELETE", target: "/" + b} }, false, []int{204, 404}},
	{"PutBucketVersioning", true, true, func(b, _ string) ask {
		return ask{method: "PUT", target: "/" + b + "?versioning", body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}
	}, false, []int{200}},
	{"PutBucketPolicy", true, true, func(b, _ string) ask {
		return ask{method: "PUT", target: "/" + b + "?policy", body: `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObjectTorrent","Resource":"arn:aws:s3:::` + b + `/*"}]}`}
	}, false, []int{204}},
	{"PutObject", true, true, func(b, _ string) ask { return ask{method: "PUT", target: "/" + b + "/a/1", body: "changed"} }, false, []int{200}},
	{"PutObject, large", true, true, func(b, _ string) ask { return ask{method: "PUT", target: "/" + b + "/new/1", body: largeBody} }, false, []int{200}},
	{"PutObjectTagging", true, true, func(b, _ string) ask {
		return ask{method: "PUT", target: "/" + b + "/a/1?tagging", body: "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"}
	}, false, []int{200}},
	{"CopyObject", true, true, func(b, _ string) ask {
		return ask{method: "PUT", target: "/" + b + "/new/1", header: []string{"X-Amz-Copy-Source: /" + b + "/a/1"}}
	}, false, []int{200}},
	{"DeleteObject", true, true, func(b, _ string) ask { return ask{method: "DELETE", target: "/" + b + "/a/1"} }, false, []int{204}},
	{"DeleteObjects", true, true, func(b, _ string) ask {
		doc := "<Delete><Object><Key>a/1</Key></Object><Object><Key>b/1</Key></Object><Object><Key>c/1</Key></Object></Delete>"
		return ask{method: "POST", target: "/" + b + "?delete", body: doc, header: []string{md5Header(doc)}}
	}, true, []int{200}},
	{"CreateMultipartUpload", true, true, func(b, _ string) ask { return ask{method: "POST", target: "/" + b + "/new/1?uploads"} }, false, []int{200}},
	{"UploadPart", true, true, func(b, u string) ask {
		return ask{method: "PUT", target: "/" + b + "/up/1?partNumber=2&uploadId=" + u, body: "second"}
	}, false, []int{200}},
	{"CompleteMultipartUpload", true, true, func(b, u string) ask {
		return ask{method: "POST", target: "/" + b + "/up/1?uploadId=" + u, body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + strings.Trim(etagOf("first"), `"`) + "</ETag></Part></CompleteMultipartUpload>"}
	}, false, []int{200}},
	{"AbortMultipartUpload", true, true, func(b, u string) ask {
		return ask{method: "DELETE", target: "/" + b + "/up/1?uploadId=" + u}
	}, false, []int{204, 404}},
}

// prepare makes what is there before an operation, and returns the running upload.
func (s *site) prepare(in *interrupted, bucket string) (upload string) {
	s.t.Helper()
	if in.bucket {
		s.want(200, "", ask{method: "PUT", target: "/" + bucket})
	}
	if in.objects {
		for _, key := range stepKeys[:5] {
			s.want(200, "", ask{method: "PUT", target: "/" + bucket + "/" + key, body: "body of " + key})
		}
		upload = s.want(200, "", ask{method: "POST", target: "/" + bucket + "/up/1?uploads"}).between("UploadId")
		s.want(200, "", ask{method: "PUT", target: "/" + bucket + "/up/1?partNumber=1&uploadId=" + upload, body: "first"})
	}
	return upload
}

// TestGatewayKilledBetweenSteps kills the gateway before and after each step of each operation that changes something. Then the operation was done or was not, once another gateway had the time of
// its bound; the bucket can be used, and the same request can be made again.
func TestGatewayKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3, 1)
	for i := range interruptions {
		in := &interruptions[i]
		t.Run(in.name, func(t *testing.T) {
			s := *s
			s.t = t
			name := strings.ToLower(regexp.MustCompile(`[^A-Za-z]`).ReplaceAllString(in.name, "")) + "-"
			// What it does when nothing happens.
			u := s.prepare(in, name+"whole")
			old := s.state(name + "whole")
			if a := s.do(in.ask(name+"whole", u)); a.status/100 != 2 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			done := s.state(name + "whole")
			if done == old {
				t.Fatal("the operation changes nothing that this test sees")
			}
			for n := 1; ; n++ {
				over := true
				for _, after := range []bool{false, true} {
					bucket := fmt.Sprintf("%s%d-%v", name, n, after)
					u := s.prepare(in, bucket)
					view := killed(s.topology, n, after)
					dying := s.through(view)
					dying.do(in.ask(bucket, u)) // whatever it answers
					dying.server.Close()
					over = over && view.taken() < n
					s.finishLeft()
					if got := s.state(bucket); got != old && got != done && !in.partly {
						t.Errorf("killed at step %d, after it: %v: got\n%s\nwant\n%s\nor\n%s", n, after, got, old, done)
					}
					s.usable(in, bucket)
					again := s.do(in.ask(bucket, u))
					if in.name == "DeleteBucket" && again.status == 409 { // what usable wrote
						continue
					}
					if !slices.Contains(in.again, again.status) {
						t.Errorf("killed at step %d, after it: %v: the same request again: %d %s", n, after, again.status, again.body)
					}
				}
				if over {
					t.Logf("%d steps", n-1)
					return
				}
				if n > 60 {
					t.Fatal("it does not end")
				}
			}
		})
	}
}

// usable checks that every name server takes writes in a bucket that is there, and that one that is gone can be made again.
func (s *site) usable(in *interrupted, bucket string) {
	s.t.Helper()
	if a := s.do(ask{method: "HEAD", target: "/" + bucket}); a.status == 404 {
		s.want(200, "", ask{method: "PUT", target: "/" + bucket})
	}
	for i := range 6 {
		s.want(200, "", ask{method: "PUT", target: fmt.Sprintf("/%s/after-%d/x", bucket, i), body: "x"})
	}
}

// TestDeletionsInterleave stops a deletion at each of its steps, lets somebody else run as far as each of his own, and writes to the bucket; then both go on, and a third gateway finishes what it finds.
// Whatever was acknowledged is there: a bucket never goes with an object in it, and none stays closed.
func TestDeletionsInterleave(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		finisher bool // the other one is a finisher, who takes the first for dead; not a second deletion
		object   bool // there is an object, which goes before the other one begins
		late     bool // it goes after he was stopped: both may meet it
	}{
		{"a deletion", false, true, false},
		{"a deletion that meets an object", false, true, true},
		{"a finisher", true, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2, 1)
			deepest := 0
			for n, reached := 1, true; reached; n++ {
				for m, more := 1+n%2, true; more; m += 2 { // every pair, but for half of them
					in := &interleaving{site: s, bucket: fmt.Sprintf("twice-%d-%d", n, m), acked: map[string]bool{}, n: n, m: m}
					reached, more = in.run(tc.finisher, tc.object, tc.late)
					more = more && reached
				}
				deepest = n
			}
			if deepest < 5 {
				t.Errorf("only %d steps were stopped at", deepest-1)
			}
			t.Logf("the deletion was stopped at each of %d steps", deepest-1)
		})
	}
}

// interleaving is one run of it: the first is stopped at step n, the other one at step m.
type interleaving struct {
	*site
	bucket string
	n, m   int
	acked  map[string]bool
}

// run reports whether both came as far as their step.
func (in *interleaving) run(finisher, object, late bool) (first, second bool) {
	s := in.site
	s.want(200, "", ask{method: "PUT", target: "/" + in.bucket})
	if object {
		s.want(200, "", ask{method: "PUT", target: "/" + in.bucket + "/k0/x", body: "x"})
	}
	clear := func(now bool) {
		if object && now {
			s.do(ask{method: "DELETE", target: "/" + in.bucket + "/k0/x"}) // refused where the bucket is closed
		}
	}
	stopped, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	other := &steps{Topology: s.topology, before: func(step int) error {
		if step == in.m {
			close(stopped)
			<-goOn
		}
		return nil
	}}
	b := s.through(other)
	defer b.server.Close()
	act := func() { b.do(ask{method: "DELETE", target: "/" + in.bucket}) }
	if finisher {
		act = func() {
			w := &watch{now: time.Unix(1e9, 0)}
			f := intent.NewFinisher(intent.New(other, nil), w.read)
			for range 2 {
				if _, err := f.Pass(context.Background()); err != nil {
					s.t.Errorf("steps %d and %d: %v", in.n, in.m, err)
				}
				w.add(intent.Patience)
			}
		}
	}
	one := &steps{Topology: s.topology, before: func(step int) error {
		if step != in.n {
			return nil
		}
		clear(!late)
		go func() {
			defer close(ended)
			act()
		}()
		select {
		case <-stopped:
		case <-ended:
		}
		clear(late)
		in.write("one")
		return nil
	}}
	a := s.through(one)
	defer a.server.Close()
	a.do(ask{method: "DELETE", target: "/" + in.bucket})
	first = one.taken() >= in.n
	if first {
		in.write("two")
		close(goOn)
		<-ended
	}
	s.finishLeft()
	for key := range in.acked {
		if got := s.do(ask{method: "GET", target: "/" + in.bucket + "/" + key}); got.status != 200 {
			s.t.Errorf("steps %d and %d: %s was acknowledged and is gone: %d %s", in.n, in.m, key, got.status, got.code())
		}
	}
	s.usable(nil, in.bucket)
	return first, other.taken() >= in.m
}

// write puts objects on every name server, and remembers those that were acknowledged.
func (in *interleaving) write(round string) {
	for i := range 4 {
		key := fmt.Sprintf("k%d/%s", i, round)
		a := in.do(ask{method: "PUT", target: "/" + in.bucket + "/" + key, body: "x"})
		switch a.status {
		case 200:
			in.acked[key] = true
		case 404, 503:
		default:
			in.t.Errorf("PUT during a deletion: %d %s", a.status, a.body)
		}
	}
}

// TestFinishersRace lets three gateways finish the same leftovers at once, from every step of a deletion, with forced ones among them.
func TestFinishersRace(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3, 1)
	for _, forced := range []bool{false, true} {
		for n := 1; n < 12; n++ {
			bucket := fmt.Sprintf("race-%v-%d", forced, n)
			s.want(200, "", ask{method: "PUT", target: "/" + bucket})
			if forced {
				s.want(200, "", ask{method: "PUT", target: "/" + bucket + "/k/x", body: "x"})
			}
			home, err := s.topology.NameServerOfBucket(bucket)
			s.must(err)
			record, err := home.GetBucket(t.Context(), bucket)
			s.must(err)
			view := killed(s.topology, n, n%2 == 0)
			_ = intent.New(view, nil).DeleteBucket(t.Context(), record, forced) // it dies
			w := &watch{now: time.Unix(1e9, 0)}
			var wg sync.WaitGroup
			for range 3 {
				f := intent.NewFinisher(intent.New(s.topology, nil), w.read)
				_, err := f.Pass(t.Context())
				s.must(err)
				wg.Go(func() {
					for range 3 {
						w.add(intent.Patience)
						if _, err := f.Pass(context.Background()); err != nil {
							t.Errorf("step %d: %v", n, err)
						}
					}
				})
			}
			wg.Wait()
			s.finishLeft()
			a := s.do(ask{method: "HEAD", target: "/" + bucket})
			if begun := n > 2 || n == 2; forced && begun && a.status != 404 {
				t.Errorf("step %d: a forced deletion was not finished: %d", n, a.status)
			}
			s.usable(nil, bucket)
		}
	}
}

// TestFinisherWaits leaves a record alone that changes, and one that is young; and does not give up while a name server is away.
func TestFinisherWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	s.want(200, "", ask{method: "PUT", target: "/patient"})
	dying := s.through(killed(s.topology, 4, true))
	dying.do(ask{method: "DELETE", target: "/patient"})
	dying.server.Close()
	s.want(503, "ServiceUnavailable", ask{method: "GET", target: "/patient?list-type=2"})

	away := errors.New("away")
	view := &steps{Topology: s.topology}
	w := &watch{now: time.Unix(1e9, 0)}
	f := intent.NewFinisher(intent.New(view, nil), w.read)
	pass := func(want int, failing bool) {
		t.Helper()
		if left, err := f.Pass(t.Context()); left != want || (err != nil) != failing {
			t.Errorf("got %d left, %v; want %d, an error: %v", left, err, want, failing)
		}
	}
	pass(1, false)
	w.add(intent.Patience - 1)
	pass(1, false)
	begun := view.taken()
	view.before = func(n int) error {
		if n > begun+1 { // it is claimed
			return away
		}
		return nil
	}
	w.add(1)
	pass(1, true)
	view.before = nil
	pass(1, false) // the claim made it young again
	w.add(intent.Patience)
	pass(0, false)
	s.want(200, "", ask{method: "GET", target: "/patient?list-type=2"})
	pass(0, false)
}
