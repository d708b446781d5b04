package daemon

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"ostor/fsbackend"
	"ostor/internal/fault"
	"ostor/internal/rpc"
)

// Metrics is the Prometheus listener of a process, apart from the S3 address. Its zero address serves nothing.
type Metrics struct {
	server *http.Server
	done   chan struct{}
	reg    prometheus.Registerer

	mu       sync.Mutex
	services []*Service
	more     prometheus.Gatherer // of other processes; nil = none
}

// ServeMetrics registers the process, the mount and the services, and answers GET /metrics at addr, host:port or unix:/path; "" registers only.
func ServeMetrics(addr string, reg *prometheus.Registry, mount *fsbackend.Counters) (*Metrics, error) {
	m := &Metrics{reg: reg}
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), mountCollector{mount}, m)
	if addr == "" {
		return m, nil
	}
	if !strings.HasPrefix(addr, "unix:") {
		addr = "tcp:" + addr
	}
	l, err := rpc.Listen(context.Background(), addr)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "listen for metrics; choose another address with --metrics")
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.with(reg), promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	m.done = make(chan struct{})
	go func() {
		defer close(m.done)
		_ = m.server.Serve(l) // ErrServerClosed: Close was called
	}()
	return m, nil
}

// with returns a gatherer of reg and of what Also added.
func (m *Metrics) with(reg prometheus.Gatherer) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		m.mu.Lock()
		all := prometheus.Gatherers{reg}
		if m.more != nil {
			all = append(all, m.more)
		}
		m.mu.Unlock()
		return all.Gather()
	})
}

// Also adds metrics of other processes.
func (m *Metrics) Also(g prometheus.Gatherer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.more = g
}

// Watch adds services whose Stats are exported.
func (m *Metrics) Watch(s ...*Service) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.services = append(m.services, s...)
}

// Close ends the listener and waits for its goroutine.
func (m *Metrics) Close() error {
	if m == nil || m.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := m.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, m.server.Close())
	}
	<-m.done
	return err
}

// mountCollector exports the operations on the mount.
type mountCollector struct{ c *fsbackend.Counters }

var mountMetrics = []struct {
	desc *prometheus.Desc
	get  func(*fsbackend.Counters) int64
}{
	{mountDesc("reads_total", "preads on the mount"), func(c *fsbackend.Counters) int64 { return c.Reads.Load() }},
	{mountDesc("read_bytes_total", "bytes read from the mount"), func(c *fsbackend.Counters) int64 { return c.ReadBytes.Load() }},
	{mountDesc("writes_total", "pwrites on the mount"), func(c *fsbackend.Counters) int64 { return c.Writes.Load() }},
	{mountDesc("written_bytes_total", "bytes written to the mount"), func(c *fsbackend.Counters) int64 { return c.WrittenBytes.Load() }},
	{mountDesc("datasyncs_total", "fdatasync and fsync calls on files of the mount"), func(c *fsbackend.Counters) int64 { return c.Datasyncs.Load() + c.Syncs.Load() }},
	{mountDesc("dirsyncs_total", "fsync calls on directories of the mount"), func(c *fsbackend.Counters) int64 { return c.DirSyncs.Load() }},
}

func mountDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("ostor_mount_"+name, help, nil, nil)
}

// Describe implements prometheus.Collector.
func (mountCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range mountMetrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c mountCollector) Collect(ch chan<- prometheus.Metric) {
	for _, m := range mountMetrics {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.get(c.c)))
	}
}

// Describe implements prometheus.Collector for the services: unchecked, because their names follow the fields of their Stats.
func (m *Metrics) Describe(chan<- *prometheus.Desc) {}

// Collect exports every integer field of the Stats of each service as ostor_ns_<field> or ostor_os_<field>, nested structs with their name before.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	services := m.services
	m.mu.Unlock()
	for _, s := range services {
		prefix := "ostor_ns"
		if s.Bytes != nil {
			prefix = "ostor_os"
		}
		collectFields(ch, prefix, s.ID.String(), reflect.ValueOf(s.Stats()))
	}
}

func collectFields(ch chan<- prometheus.Metric, prefix, service string, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		name := prefix + "_" + snake(f.Name)
		var value float64
		switch x := v.Field(i); x.Kind() {
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			if d, ok := x.Interface().(time.Duration); ok {
				name, value = name+"_seconds", d.Seconds()
				break
			}
			value = float64(x.Int())
		case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			value = float64(x.Uint())
		case reflect.Float64:
			value = x.Float()
		case reflect.Struct, reflect.Pointer:
			collectFields(ch, name, service, x)
			continue
		default:
			continue
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, f.Name+" of the service's Stats.", []string{"service"}, nil), prometheus.UntypedValue, value, service)
	}
}

// snake turns CheckpointBytes into checkpoint_bytes and LSN into lsn.
func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		upper := r >= 'A' && r <= 'Z'
		if upper && i > 0 && (s[i-1] < 'A' || s[i-1] > 'Z' || i+1 < len(s) && s[i+1] >= 'a' && s[i+1] <= 'z') {
			b.WriteByte('_')
		}
		if upper {
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
