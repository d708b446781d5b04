package daemon

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"ostor/internal/cluster"
)

// scrapeTimeout bounds how long a child that hangs can delay the metrics of its agent.
const scrapeTimeout = 2 * time.Second

// serviceLabel tells the metrics of several processes apart.
const serviceLabel = "service"

// childMetrics gathers what the services of an agent export on unix sockets, so that a host has one address to scrape. Every metric gets the label service, unless it has it.
type childMetrics struct {
	dir string // of the sockets; "" = nobody is asked

	mu       sync.Mutex
	children map[cluster.ServiceID]string // path of the socket
}

// address returns what a service's --metrics should be, "" when nobody is going to ask.
func (c *childMetrics) address(id cluster.ServiceID) string {
	if c.dir == "" {
		return ""
	}
	path := filepath.Join(c.dir, "metrics-"+id.String()+".sock")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.children[id] = path
	return "unix:" + path
}

// Gather implements prometheus.Gatherer. A service that does not answer is left out: its absence shows in ostor_agent_services.
func (c *childMetrics) Gather() ([]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	all := map[string]*dto.MetricFamily{}
	var wg sync.WaitGroup
	c.mu.Lock()
	for id, path := range c.children {
		wg.Go(func() {
			found := scrape(ctx, path)
			c.mu.Lock()
			defer c.mu.Unlock()
			for name, f := range found {
				label(f, id)
				if all[name] == nil {
					all[name] = f
				} else {
					all[name].Metric = append(all[name].Metric, f.Metric...)
				}
			}
		})
	}
	c.mu.Unlock()
	wg.Wait()
	var list []*dto.MetricFamily
	for _, f := range all {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return list, nil
}

// scrape reads the metrics at a socket; nil when nobody answers.
func scrape(ctx context.Context, path string) map[string]*dto.MetricFamily {
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://service/metrics", http.NoBody)
	if err != nil {
		return nil
	}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	p := expfmt.NewTextParser(model.UTF8Validation)
	found, err := p.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil
	}
	return found
}

// label adds the label service to the metrics of a family that lack it. Labels are kept sorted, as a Gatherer must.
func label(f *dto.MetricFamily, id cluster.ServiceID) {
	name, value := serviceLabel, id.String()
	for _, m := range f.Metric {
		if slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == serviceLabel }) {
			continue
		}
		m.Label = append(m.Label, &dto.LabelPair{Name: &name, Value: &value})
		slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	}
}
