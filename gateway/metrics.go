package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a gateway counts, besides usage. Labels are bounded: operation is a name of S3's API, class the first digit of the status ("2xx").
//
//	ostor_s3gw_req_total{operation,class}        requests answered
//	ostor_s3gw_req_cancelled_total               requests whose client went away before the reply was complete
//	ostor_req_server_err_total{operation}        replies of class 5xx
//	ostor_s3gw_req_latency_ms{operation}         milliseconds from the last byte of the request to the first of the reply
//	ostor_s3gw_get_req_latency_ms                the same of GetObject alone
//	ostor_s3gw_in_bytes_total, _out_bytes_total  bytes of request and reply bodies
//	ostor_s3gw_in_flight                         requests being answered
//	ostor_s3gw_panics_total                      handlers that panicked: each is a bug
//	ostor_s3gw_shed_total                        requests refused because too many were in flight
//	ostor_s3gw_bucket_cache_total{event}         looks at the cache of bucket records: hit, same (asked, and not modified), read, evicted
type metrics struct {
	requests  [opCount + 1][6]prometheus.Counter // by operation (opCount: NotImplemented) and class; class 0 and 1 unused
	errors    [opCount + 1]prometheus.Counter
	latency   [opCount + 1]prometheus.Observer
	get       prometheus.Observer
	cancelled prometheus.Counter
	in, out   prometheus.Counter
	inFlight  prometheus.Gauge
	panics    prometheus.Counter
	shed      prometheus.Counter
	usage     usage
	buckets   cacheCounts
}

var classes = [6]string{2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}

// latencyBuckets are upper bounds in milliseconds.
var latencyBuckets = []float64{0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 60000}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ostor_s3gw_req_total", Help: "S3 requests answered, by operation and class of status."}, []string{"operation", "class"})
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ostor_req_server_err_total", Help: "S3 requests answered with a 5xx status."}, []string{"operation"})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ostor_s3gw_req_latency_ms", Buckets: latencyBuckets,
		Help: "Milliseconds from the last byte of a request to the first byte of its reply."}, []string{"operation"})
	get := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ostor_s3gw_get_req_latency_ms", Buckets: latencyBuckets,
		Help: "Milliseconds from the last byte of a GetObject request to the first byte of its reply."})
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		get:       get,
		cancelled: counter("ostor_s3gw_req_cancelled_total", "Requests whose client went away before the reply was complete."),
		in:        counter("ostor_s3gw_in_bytes_total", "Bytes of request bodies as received."),
		out:       counter("ostor_s3gw_out_bytes_total", "Bytes of reply bodies."),
		inFlight:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "ostor_s3gw_in_flight", Help: "Requests being answered now."}),
		panics:    counter("ostor_s3gw_panics_total", "Requests that ended in a panic of the gateway."),
		shed:      counter("ostor_s3gw_shed_total", "Requests refused because too many were being answered."),
	}
	cache := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ostor_s3gw_bucket_cache_total", Help: "Looks at the cache of bucket records: hit, same (asked, and not modified), read; and evicted."}, []string{"event"})
	m.buckets = cacheCounts{cache.WithLabelValues("hit"), cache.WithLabelValues("same"), cache.WithLabelValues("read"), cache.WithLabelValues("evicted")}
	if reg != nil {
		for _, c := range []prometheus.Collector{cache, requests, failures, latency, get, m.cancelled, m.in, m.out, m.inFlight, m.panics, m.shed, &m.usage} {
			if err := reg.Register(c); err != nil {
				return nil, err
			}
		}
	}
	// Children are looked up once: With costs more than the counting.
	for op := range m.requests {
		name := opNotImplemented.String()
		if op < int(opCount) {
			name = operation(op).String()
		}
		for class := 2; class < len(classes); class++ {
			m.requests[op][class] = requests.WithLabelValues(name, classes[class])
		}
		m.errors[op] = failures.WithLabelValues(name)
		m.latency[op] = latency.WithLabelValues(name)
	}
	return m, nil
}

// observe counts a finished request.
func (m *metrics) observe(op operation, status int, latency time.Duration, in, out int64) {
	i := min(int(op), int(opCount))
	class := min(max(status/100, 2), 5)
	m.requests[i][class].Inc()
	if class == 5 {
		m.errors[i].Inc()
	}
	ms := float64(latency) / float64(time.Millisecond)
	m.latency[i].Observe(ms)
	if op == opGetObject {
		m.get.Observe(ms)
	}
	if in > 0 {
		m.in.Add(float64(in))
	}
	if out > 0 {
		m.out.Add(float64(out))
	}
}
