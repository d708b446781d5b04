// Command bench starts `ostor serve` on an empty directory and prints what each S3 operation costs it: rate, latency, and above all what does not depend on
// how busy the machine is: server CPU time, fdatasyncs, preads and bytes written per operation.
//
// The client shares the machine with the server, so rates say little; CPU is read from /proc/<pid>/stat of the server alone, the counters from its Prometheus
// endpoint. With -endpoint it drives a server that somebody else started (-pid for its CPU).
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

type config struct {
	bin, endpoint, access, secret, metrics, only string
	pid                                          int
	time                                         time.Duration
	sign, mount                                  string
	extra                                        string
	names                                        int    // > 0: the table of large buckets, with so many names each
	dir                                          string // of the server that was started
}

func main() {
	var c config
	flag.StringVar(&c.bin, "bin", "bin/ostor", "the ostor `command` to start")
	flag.StringVar(&c.endpoint, "endpoint", "", "drive this `URL` instead of starting a server")
	flag.StringVar(&c.access, "access", os.Getenv("AWS_ACCESS_KEY_ID"), "access key for -endpoint")
	flag.IntVar(&c.pid, "pid", 0, "server process for -endpoint: its CPU and memory are read")
	flag.StringVar(&c.metrics, "metrics", "", "Prometheus `URL` for -endpoint")
	flag.DurationVar(&c.time, "time", 2*time.Second, "duration of each row")
	flag.StringVar(&c.only, "only", "", "only rows whose name contains one of these words, separated by commas")
	flag.StringVar(&c.sign, "payload", "unsigned", "x-amz-content-sha256 of uploads: unsigned or signed")
	flag.StringVar(&c.mount, "dir", "", "parent `DIR` of the server's directory (default the system's temporary directory)")
	flag.StringVar(&c.extra, "serve", "", "more arguments for ostor serve, separated by blanks")
	flag.IntVar(&c.names, "names", 0, "print the table of large buckets instead, with this many names in each")
	flag.Parse()
	c.secret = os.Getenv("AWS_SECRET_ACCESS_KEY")
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(c config) error {
	if c.endpoint == "" {
		stop, err := start(&c)
		if err != nil {
			return err
		}
		defer stop()
	}
	cl := newClient(c)
	if c.names > 0 {
		return runScale(c, cl)
	}
	if _, err := cl.do(context.Background(), "PUT", "/bench", "", nil, io.Discard); err != nil {
		return fmt.Errorf("create the bucket: %w", err)
	}
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "operation\tsize\tconns\tops\top/s\tp50 ms\tp99 ms\tCPU µs/op\tfdatasync/op\tpread/op\twritten/stored\tRSS MiB\t")
	for _, r := range rows(c.time) {
		if !wanted(c.only, r.name()) {
			continue
		}
		res, err := measure(c, cl, r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name(), err)
		}
		res.print(tw, r)
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func wanted(only, name string) bool {
	if only == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(only, ","), func(w string) bool { return strings.Contains(name, w) })
}

// row is one line of the table.
type row struct {
	op    string // PUT, GET, HEAD, DELETE, LIST, LISTALL
	size  int    // bytes of the objects
	conns int
	time  time.Duration
}

func (r row) name() string { return fmt.Sprintf("%s-%s-%d", r.op, bytesName(r.size), r.conns) }

func bytesName(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%dM", n>>20)
	}
	return fmt.Sprintf("%dK", n>>10)
}

func rows(d time.Duration) (all []row) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20, 16 << 20} {
		for _, conns := range []int{1, 16, 64} {
			if size == 16<<20 && conns == 16 {
				conns = 4
			} else if size == 16<<20 && conns == 64 {
				continue
			}
			for _, op := range []string{"PUT", "GET", "HEAD", "DELETE"} {
				if size > 4<<10 && (op == "HEAD" || op == "DELETE") && conns != 16 {
					continue
				}
				all = append(all, row{op, size, conns, d})
			}
		}
	}
	for _, conns := range []int{1, 16, 64} {
		all = append(all, row{"LIST", 4 << 10, conns, d})
	}
	return append(all, row{"LISTALL", 4 << 10, 1, d})
}

// result is what a row measured.
type result struct {
	ops           int64
	elapsed       time.Duration
	latency       []time.Duration
	cpu           time.Duration
	syncs, preads float64
	written       float64
	stored        int64
	keys          int64
	rss           int64
}

func (r *result) print(w io.Writer, row row) {
	slices.Sort(r.latency)
	at := func(q float64) float64 {
		if len(r.latency) == 0 {
			return 0
		}
		return float64(r.latency[int(q*float64(len(r.latency)-1))].Microseconds()) / 1000
	}
	n := float64(max(r.ops, 1))
	perStored := "-"
	if r.stored > 0 {
		perStored = fmt.Sprintf("%.2f", r.written/float64(r.stored))
	}
	fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%.0f\t%.2f\t%.2f\t%.0f\t%.3f\t%.2f\t%s\t%d\t", row.op, bytesName(row.size), row.conns, r.ops,
		n/r.elapsed.Seconds(), at(.5), at(.99), float64(r.cpu.Microseconds())/n, r.syncs/n, r.preads/n, perStored, r.rss>>20)
	if row.op == "LISTALL" {
		fmt.Fprintf(w, " %.0f keys/s", float64(r.keys)/r.elapsed.Seconds())
	}
	fmt.Fprintln(w)
}

// objectsOf says how many objects a row that reads prepares.
func objectsOf(r row) int {
	switch r.op {
	case "LIST":
		return 94
	case "LISTALL":
		return 20000
	case "DELETE":
		return int(r.time.Seconds()*3000) * min(r.conns, 4) / max(1, r.size>>18)
	}
	return max(8, min(2000, (256<<20)/r.size))
}

func measure(c config, cl *client, r row) (*result, error) {
	prefix := "/bench/" + r.name() + "/"
	body := make([]byte, r.size)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(body)
	n := objectsOf(r)
	if r.op != "PUT" {
		if r.op == "DELETE" {
			n = max(n, 64)
		}
		if err := prepare(cl, prefix, body, n); err != nil {
			return nil, err
		}
	}
	var next, bytesStored, keys atomic.Int64
	one := func(ctx context.Context, i int64) error {
		key := fmt.Sprintf("%so%07d", prefix, i%int64(n))
		switch r.op {
		case "PUT":
			bytesStored.Add(int64(r.size))
			_, err := cl.do(ctx, "PUT", fmt.Sprintf("%so%09d", prefix, i), "", body, io.Discard)
			return err
		case "GET":
			got, err := cl.do(ctx, "GET", key, "", nil, io.Discard)
			if err == nil && got != int64(r.size) {
				err = fmt.Errorf("GET %s gave %d bytes, want %d", key, got, r.size)
			}
			return err
		case "HEAD":
			_, err := cl.do(ctx, "HEAD", key, "", nil, io.Discard)
			return err
		case "DELETE":
			if i >= int64(n) {
				return errDone
			}
			_, err := cl.do(ctx, "DELETE", key, "", nil, io.Discard)
			return err
		case "LIST":
			_, err := cl.do(ctx, "GET", "/bench", "list-type=2&prefix="+strings.ReplaceAll(prefix[len("/bench/"):], "/", "%2F"), nil, io.Discard)
			return err
		case "LISTALL":
			k, err := cl.listAll(ctx, "/bench", prefix[len("/bench/"):])
			keys.Add(int64(k))
			return err
		}
		return errors.New("unknown operation")
	}
	// Warm the connections and the server's code, then measure.
	for i := range int64(min(r.conns, 8)) {
		if r.op != "DELETE" {
			if err := one(context.Background(), i); err != nil {
				return nil, err
			}
		}
	}
	next.Store(int64(r.conns))
	if r.op == "DELETE" {
		next.Store(-1)
	}
	bytesStored.Store(0)
	keys.Store(0)
	before, err := sample(c)
	if err != nil {
		return nil, err
	}
	res := &result{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	begin := time.Now()
	for range r.conns {
		wg.Go(func() {
			var lat []time.Duration
			var ops int64
			for time.Since(begin) < r.time || ops == 0 {
				t := time.Now()
				err := one(context.Background(), next.Add(1))
				if errors.Is(err, errDone) {
					break
				}
				if err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
					return
				}
				lat = append(lat, time.Since(t))
				ops++
			}
			mu.Lock()
			res.ops += ops
			res.latency = append(res.latency, lat...)
			mu.Unlock()
		})
	}
	wg.Wait()
	res.elapsed = time.Since(begin)
	if failed != nil {
		return nil, failed
	}
	after, err := sample(c)
	if err != nil {
		return nil, err
	}
	res.cpu, res.syncs, res.preads = after.cpu-before.cpu, after.syncs-before.syncs, after.preads-before.preads
	res.written, res.stored, res.keys, res.rss = after.written-before.written, bytesStored.Load(), keys.Load(), after.rss
	return res, nil
}

var errDone = errors.New("done")

func prepare(cl *client, prefix string, body []byte, n int) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if _, err := cl.do(context.Background(), "PUT", fmt.Sprintf("%so%07d", prefix, i), "", body, io.Discard); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return fmt.Errorf("prepare: %w", err)
	default:
		return nil
	}
}

// start runs ostor serve on a fresh directory and fills in where it answers.
func start(c *config) (stop func(), err error) {
	dir, err := os.MkdirTemp(c.mount, "ostor-bench-")
	if err != nil {
		return nil, err
	}
	ms, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := ms.Addr().String()
	_ = ms.Close()
	args := append([]string{"serve", dir, "--json", "--listen", "127.0.0.1:0", "--metrics", addr, "--local-dir", dir + "/local", "--run-dir", dir + "/run", "--log", "warn"}, strings.Fields(c.extra)...)
	cmd := exec.Command(c.bin, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	var hello struct{ Endpoint, AccessKey, SecretKey string }
	if err := json.NewDecoder(out).Decode(&hello); err != nil {
		stop()
		return nil, fmt.Errorf("ostor serve said nothing: %w", err)
	}
	c.dir = dir
	c.endpoint, c.access, c.secret, c.metrics, c.pid = hello.Endpoint, hello.AccessKey, hello.SecretKey, "http://"+addr+"/metrics", cmd.Process.Pid
	return stop, nil
}

// counters of the server at one moment.
type counters struct {
	cpu                    time.Duration
	syncs, preads, written float64
	steps                  float64 // entries that walks of name servers passed
	rss                    int64
}

func sample(c config) (s counters, err error) {
	if c.pid != 0 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.pid))
		if err != nil {
			return s, err
		}
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+2:])
		var user, system int64
		if _, err := fmt.Sscan(string(f[11]), &user); err != nil {
			return s, err
		}
		if _, err := fmt.Sscan(string(f[12]), &system); err != nil {
			return s, err
		}
		s.cpu = time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
		statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.pid))
		if err != nil {
			return s, err
		}
		var size, rss int64
		if _, err := fmt.Sscan(string(statm), &size, &rss); err != nil {
			return s, err
		}
		s.rss = rss * int64(os.Getpagesize())
	}
	if c.metrics == "" {
		return s, nil
	}
	resp, err := http.Get(c.metrics)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(value, &v); err != nil {
			continue
		}
		name, _, _ = strings.Cut(name, "{")
		switch name {
		case "ostor_mount_datasyncs_total":
			s.syncs += v
		case "ostor_mount_reads_total":
			s.preads += v
		case "ostor_ns_store_steps":
			s.steps += v
		case "ostor_mount_written_bytes_total":
			s.written += v
		}
	}
	return s, nil
}
