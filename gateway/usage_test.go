package gateway

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ostor/internal/cluster"
)

// usageOf returns the samples of a metric by its labels, "a,b".
func usageOf(t *testing.T, reg *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range all {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			out[strings.Join(labels, ",")] = m.GetCounter().GetValue()
		}
	}
	return out
}

// TestUsage counts requests and bytes of a few users and buckets.
func TestUsage(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "12345"})
	for range 3 {
		s.want(200, "", ask{method: "GET", target: "/box/key"})
	}
	s.want(403, "AccessDenied", ask{method: "GET", target: "/box/key", key: bob})
	s.want(403, "AccessDenied", ask{method: "GET", target: "/box/key", key: "-"})
	s.want(200, "", ask{method: "GET", target: "/box?list-type=2"})
	s.want(204, "", ask{method: "DELETE", target: "/box/key"})
	s.want(404, "NoSuchBucket", ask{method: "GET", target: "/none/key"})
	got := usageOf(t, s.metrics, "ostor_s3gw_bucket_req_total")
	for labels, want := range map[string]float64{"box,get": 5, "box,put": 1, "box,list": 1, "box,delete": 1, "_other,get": 1, "_other,other": 1} {
		if got[labels] != want {
			t.Errorf("requests of %s: %v, want %v", labels, got[labels], want)
		}
	}
	if len(got) != 6 {
		t.Errorf("got %v", got)
	}
	users := usageOf(t, s.metrics, "ostor_s3gw_user_req_total")
	for labels, want := range map[string]float64{"get,00000000000a11ce": 4, "get,0000000000000b0b": 1, "get,anonymous": 1} {
		if users[labels] != want {
			t.Errorf("requests of %s: %v, want %v", labels, users[labels], want)
		}
	}
	bytes := usageOf(t, s.metrics, "ostor_s3gw_bucket_bytes_total")
	if bytes["box,in"] != 5 || bytes["box,out"] < 15 {
		t.Errorf("bytes %v", bytes)
	}
}

// TestUsageIsBounded: 100,000 buckets and users leave at most a thousand series of each; nothing counted is lost, and who is busy keeps his name.
func TestUsageIsBounded(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m, err := newMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	const many, workers = 100_000, 4
	request := func(bucket string, user cluster.UserID) {
		c := &call{op: opGetObject, bkt: &cluster.Bucket{Name: bucket}, who: principal{user: user, anonymous: true}}
		m.usage.add(c, 1, 2)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range many / workers {
				request(fmt.Sprintf("bucket-%d-%d", w, i), cluster.UserID(w*many+i+2))
				if i%100 == 0 {
					request("busy", 1)
				}
			}
		})
	}
	wg.Wait()
	if b, u := len(m.usage.buckets.m), len(m.usage.users.m); b > maxUsage || u > maxUsage {
		t.Errorf("%d buckets and %d users are kept", b, u)
	}
	for _, name := range []string{"bucket", "user"} {
		got := usageOf(t, reg, "ostor_s3gw_"+name+"_req_total")
		bytes := usageOf(t, reg, "ostor_s3gw_"+name+"_bytes_total")
		sum, out := 0.0, 0.0
		for _, v := range got {
			sum += v
		}
		for labels, v := range bytes {
			if strings.Contains(labels, "out") {
				out += v
			}
		}
		if want := float64(many + many/100); len(got) > maxUsage+1 || len(bytes) > 2*(maxUsage+1) || sum != want || out != 2*want {
			t.Errorf("%s: %d and %d series, %v requests, %v bytes; want %v", name, len(got), len(bytes), sum, out, want)
		}
		busy := got["busy,get"] + got["get,0000000000000001"]
		if busy != many/100 {
			t.Errorf("%s: the busy one has %v requests, want %d", name, busy, many/100)
		}
	}
}

// TestUsageAllocatesNothing: counting costs a request no allocation.
func TestUsageAllocatesNothing(t *testing.T) {
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &call{op: opGetObject, bkt: &cluster.Bucket{Name: "box"}, who: principal{user: 7, anonymous: true}}
	m.usage.add(c, 1, 1)
	if n := testing.AllocsPerRun(100, func() { m.usage.add(c, 1, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
