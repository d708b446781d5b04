package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/daemon"
)

// The table of large buckets: what a request costs when there are very many names beside the ones that it is about. Names are put below the gateway, through the name servers' own
// interface, because a million PUTs would be most of the time; everything measured goes through HTTP.

// scale is one run of the table.
type scale struct {
	c        config
	cl       *client
	n        int // names of each large bucket
	out      *tabwriter.Writer
	rng      *rand.Rand
	topology cluster.Topology
}

func runScale(c config, cl *client) error {
	topology, _, closer, err := daemon.OpenAdmin(context.Background(), daemon.AdminOptions{Mount: c.dir, Config: daemon.Config{Log: "warn"}})
	if err != nil {
		return err
	}
	defer func() { _ = closer() }()
	s := &scale{c: c, cl: cl, n: c.names, out: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight), rng: rand.New(rand.NewPCG(1, 2)), topology: topology}
	fmt.Fprintf(s.out, "%d names\trequest\tops\tp50 ms\tp99 ms\tCPU µs/op\tsteps/op\tpread/op\tKiB/op\tRSS MiB\tnames/s\t\n", s.n)
	for _, part := range []struct {
		name string
		run  func() error
	}{{"flat", s.flat}, {"tree", s.tree}, {"prefixes", s.prefixes}, {"markers", s.markers}, {"versions", s.versions}, {"deleted", s.deleted}, {"parts", s.parts}} {
		if !wanted(c.only, part.name) {
			continue
		}
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		if err := s.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// flat is one directory with all names: one name server keeps it.
func (s *scale) flat() error {
	b, err := s.fill("flat", false, func(i int) string { return fmt.Sprintf("logs/%08d", i) })
	if err != nil {
		return err
	}
	return errors.Join(
		s.listAll(b, "list-type=2", "all, 1000 a page"),
		s.row(b, "delimiter", 300, func(int) string { return "delimiter=%2F&list-type=2" }),
		s.row(b, "delimiter after a name in it", 300, func(int) string {
			return "delimiter=%2F&list-type=2&start-after=" + url.QueryEscape(fmt.Sprintf("logs/%08d", s.rng.IntN(s.n)))
		}),
		s.row(b, "versions, delimiter", 300, func(int) string { return "delimiter=%2F&versions=" }),
		s.row(b, "page of 1000 anywhere", 300, func(int) string {
			return "list-type=2&start-after=" + url.QueryEscape(fmt.Sprintf("logs/%08d", s.rng.IntN(s.n)))
		}),
	)
}

// tree is directories of 1000 names over all name servers.
func (s *scale) tree() error {
	b, err := s.fill("tree", false, func(i int) string { return fmt.Sprintf("d%05d/%04d", i/1000, i%1000) })
	if err != nil {
		return err
	}
	return errors.Join(
		s.listAll(b, "list-type=2", "all, 1000 a page"),
		s.row(b, "delimiter", 50, func(int) string { return "delimiter=%2F&list-type=2" }),
		s.row(b, "versions, delimiter", 50, func(int) string { return "delimiter=%2F&versions=" }),
		s.row(b, "one directory", 100, func(int) string {
			return fmt.Sprintf("delimiter=%%2F&list-type=2&prefix=d%05d%%2F", s.rng.IntN(max(1, s.n/1000)))
		}),
	)
}

// prefixes is the worst shape of a delimiter listing: every name has a common prefix of its own.
func (s *scale) prefixes() error {
	b, err := s.fill("prefixes", false, func(i int) string { return fmt.Sprintf("p%08d/x", i) })
	if err != nil {
		return err
	}
	return errors.Join(
		s.listAll(b, "delimiter=%2F&list-type=2", "all prefixes, 1000 a page"),
		s.row(b, "1000 prefixes anywhere", 200, func(int) string {
			return "delimiter=%2F&list-type=2&start-after=" + url.QueryEscape(fmt.Sprintf("p%08d/", s.rng.IntN(s.n)))
		}),
	)
}

// markers is a versioned bucket whose names are all deleted but the last.
func (s *scale) markers() error {
	b, err := s.bucket("markers", true)
	if err != nil {
		return err
	}
	err = s.each("markers", "delete markers", s.n, func(i int) error {
		key := fmt.Sprintf("m/%08d", i)
		ns, err := s.topology.NameServerFor(b.ID, key)
		if err != nil {
			return err
		}
		_, err = ns.DeleteEntry(context.Background(), cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: b.ID, Key: key}, Versioning: b.Versioning, Owner: b.Owner, Modified: time.Now()})
		return err
	})
	if err != nil {
		return err
	}
	if _, err := s.cl.do(context.Background(), "PUT", "/markers/z", "", nil, io.Discard); err != nil {
		return err
	}
	return errors.Join(
		s.row(b, "the one object behind them", 10, func(int) string { return "list-type=2" }),
		s.row(b, "delimiter", 10, func(int) string { return "delimiter=%2F&list-type=2" }),
		s.row(b, "versions, delimiter", 100, func(int) string { return "delimiter=%2F&versions=" }),
		s.row(b, "versions, anywhere", 100, func(int) string {
			return "key-marker=" + url.QueryEscape(fmt.Sprintf("m/%08d", s.rng.IntN(s.n))) + "&versions="
		}),
	)
}

// versions is one name with very many versions.
func (s *scale) versions() error {
	b, err := s.bucket("versions", true)
	if err != nil {
		return err
	}
	ids := make([]cluster.VersionID, s.n)
	err = s.each("versions", "create", s.n, func(i int) error {
		e, err := s.create(b, "k")
		ids[i] = e.Version
		return err
	})
	if err != nil {
		return err
	}
	any := func(int) string { return ids[s.rng.IntN(s.n)].String() }
	one := func(what, method string, n int, query func(i int) string) error {
		return s.measure("versions", what, n, func(i int) (int64, error) {
			return s.cl.do(context.Background(), method, "/versions/k", query(i), nil, io.Discard)
		})
	}
	none := func(int) string { return "" }
	return errors.Join(
		one("GET current", "GET", 1000, none),
		one("HEAD of a version", "HEAD", 1000, func(i int) string { return "versionId=" + any(i) }),
		one("PUT", "PUT", 500, none),
		one("DELETE of a version", "DELETE", 500, func(i int) string { return "versionId=" + any(i) }),
		s.row(b, "versions from anywhere", 200, func(i int) string { return "key-marker=k&version-id-marker=" + any(i) + "&versions=" }),
		s.row(b, "list", 200, func(int) string { return "list-type=2" }),
		// Newest first: each makes the version before it the current one.
		s.measure("versions", "DELETE of the current version", 2000, func(int) (int64, error) {
			ns, err := s.topology.NameServerFor(b.ID, "k")
			if err != nil {
				return 0, err
			}
			e, err := ns.Lookup(context.Background(), cluster.LookupRequest{Bucket: b.ID, Key: "k"})
			if err != nil {
				return 0, err
			}
			return s.cl.do(context.Background(), "DELETE", "/versions/k", "versionId="+e.Version.String(), nil, io.Discard)
		}),
		one("GET current after that", "GET", 200, none),
		s.row(b, "versions after that", 50, func(int) string { return "versions=" }),
	)
}

// deleted empties a bucket as clients do: a page of names, DeleteObjects of them, again from the beginning.
func (s *scale) deleted() error {
	n := s.n / 5
	b, err := s.fillN("deleted", false, n, func(i int) string { return fmt.Sprintf("x/%08d", i) })
	if err != nil {
		return err
	}
	var names []string
	list := func(int) (int64, error) {
		var page bytes.Buffer
		got, err := s.cl.do(context.Background(), "GET", "/deleted", "list-type=2", nil, &page)
		names = elements(page.Bytes(), "Key")
		return got, err
	}
	// Lists and deletions alternate, so each is timed by itself.
	var lists, deletes []time.Duration
	begin := time.Now()
	before, err := sample(s.c)
	if err != nil {
		return err
	}
	for removed := 0; ; removed += len(names) {
		t := time.Now()
		if _, err := list(0); err != nil {
			return err
		}
		lists = append(lists, time.Since(t))
		if len(names) == 0 {
			if removed != n {
				return fmt.Errorf("%d names were listed and deleted, want %d", removed, n)
			}
			break
		}
		body := []byte("<Delete><Quiet>true</Quiet>")
		for _, k := range names {
			body = fmt.Appendf(body, "<Object><Key>%s</Key></Object>", k)
		}
		t = time.Now()
		if _, err := s.cl.do(context.Background(), "POST", "/deleted", "delete=", append(body, "</Delete>"...), io.Discard); err != nil {
			return err
		}
		deletes = append(deletes, time.Since(t))
	}
	after, err := sample(s.c)
	if err != nil {
		return err
	}
	s.print("deleted", "list from the beginning", lists, time.Since(begin), counters{}, counters{}, 0, 0)
	s.print("deleted", "DeleteObjects of 1000", deletes, time.Since(begin), before, after, 0, n)
	return s.row(b, "delimiter, all deleted", 50, func(int) string { return "delimiter=%2F&list-type=2" })
}

// parts is an upload of as many parts as there can be. They all share the bytes of one real object: 10,000 real ones would be 50 GB.
func (s *scale) parts() error {
	b, err := s.bucket("parts", false)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if _, err := s.cl.do(ctx, "PUT", "/parts/one", "", make([]byte, cluster.MinPartBytes), io.Discard); err != nil {
		return err
	}
	ns, err := s.topology.NameServerFor(b.ID, "one")
	if err != nil {
		return err
	}
	one, err := ns.Lookup(ctx, cluster.LookupRequest{Bucket: b.ID, Key: "one"})
	if err != nil {
		return err
	}
	var reply bytes.Buffer
	if _, err := s.cl.do(ctx, "POST", "/parts/whole", "uploads=", nil, &reply); err != nil {
		return err
	}
	ids := elements(reply.Bytes(), "UploadId")
	if len(ids) != 1 {
		return fmt.Errorf("no upload id in %s", reply.Bytes())
	}
	id, err := cluster.ParseUploadID(ids[0])
	if err != nil {
		return err
	}
	const n = cluster.MaxParts
	err = s.measure("parts", "record a part", n, func(i int) (int64, error) {
		if err := ns.Guard(ctx, cluster.Guard{Bucket: b.ID, Key: "whole", Content: one.Content, Timeout: time.Minute}); err != nil {
			return 0, err
		}
		return 0, ns.PutPart(ctx, b.ID, "whole", id, cluster.Part{Number: int32(i + 1), Size: one.Size, Content: one.Content, ETag: one.ETag, Modified: time.Now()})
	})
	if err != nil {
		return err
	}
	complete := []byte("<CompleteMultipartUpload>")
	for i := range n {
		complete = fmt.Appendf(complete, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, one.ETag)
	}
	complete = append(complete, "</CompleteMultipartUpload>"...)
	do := func(what string, n int, method, query func(i int) string, body []byte) error {
		return s.measure("parts", what, n, func(i int) (int64, error) { return s.cl.do(ctx, method(i), "/parts/whole", query(i), body, io.Discard) })
	}
	get, head, post := is("GET"), is("HEAD"), is("POST")
	return errors.Join(
		do("ListParts anywhere", 100, get, func(int) string { return fmt.Sprintf("part-number-marker=%d&uploadId=%s", s.rng.IntN(n), ids[0]) }, nil),
		do("complete", 1, post, is("uploadId="+ids[0]), complete),
		do("complete again", 5, post, is("uploadId="+ids[0]), complete),
		do("HEAD of a part", 300, head, func(int) string { return fmt.Sprintf("partNumber=%d", 1+s.rng.IntN(n)) }, nil),
		do("GET of a part of 5 MiB", 30, get, func(int) string { return fmt.Sprintf("partNumber=%d", 1+s.rng.IntN(n)) }, nil),
	)
}

func is(s string) func(int) string { return func(int) string { return s } }

// bucket makes a bucket and returns its record.
func (s *scale) bucket(name string, versioned bool) (cluster.Bucket, error) {
	ctx := context.Background()
	if _, err := s.cl.do(ctx, "PUT", "/"+name, "", nil, io.Discard); err != nil {
		return cluster.Bucket{}, err
	}
	if versioned {
		if _, err := s.cl.do(ctx, "PUT", "/"+name, "versioning=", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"), io.Discard); err != nil {
			return cluster.Bucket{}, err
		}
	}
	ns, err := s.topology.NameServerOfBucket(name)
	if err != nil {
		return cluster.Bucket{}, err
	}
	return ns.GetBucket(ctx, name)
}

// fill makes a bucket of empty objects.
func (s *scale) fill(bucket string, versioned bool, key func(i int) string) (cluster.Bucket, error) {
	return s.fillN(bucket, versioned, s.n, key)
}

func (s *scale) fillN(bucket string, versioned bool, n int, key func(i int) string) (cluster.Bucket, error) {
	b, err := s.bucket(bucket, versioned)
	if err != nil {
		return b, err
	}
	return b, s.each(bucket, "create", n, func(i int) error {
		_, err := s.create(b, key(i))
		return err
	})
}

func (s *scale) create(b cluster.Bucket, key string) (cluster.Entry, error) {
	ns, err := s.topology.NameServerFor(b.ID, key)
	if err != nil {
		return cluster.Entry{}, err
	}
	return ns.CreateEntry(context.Background(), cluster.CreateEntryRequest{Bucket: b.ID, Versioning: b.Versioning, Entry: cluster.Entry{Key: key, Modified: time.Now(), Owner: b.Owner,
		ETag: "d41d8cd98f00b204e9800998ecf8427e", Headers: []cluster.Header{{Name: "content-type", Value: "binary/octet-stream"}}}})
}

// each calls f for [0, n) in many goroutines, so that the name servers commit in groups, and prints what that took.
func (s *scale) each(bucket, what string, n int, f func(i int) error) error {
	before, err := sample(s.c)
	if err != nil {
		return err
	}
	begin := time.Now()
	var next atomic.Int64
	done := make(chan error)
	const workers = 256
	for range workers {
		go func() {
			for {
				i := int(next.Add(1) - 1)
				if i >= n {
					done <- nil
					return
				}
				if err := f(i); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	var all error
	for range workers {
		all = errors.Join(all, <-done)
	}
	if all != nil {
		return all
	}
	after, err := sample(s.c)
	if err != nil {
		return err
	}
	s.print(bucket, what, make([]time.Duration, n), time.Since(begin), before, after, 0, n)
	return nil
}

// row measures n listings of a bucket.
func (s *scale) row(b cluster.Bucket, what string, n int, query func(i int) string) error {
	return s.measure(b.Name, what, n, func(i int) (int64, error) {
		return s.cl.do(context.Background(), "GET", "/"+b.Name, query(i), nil, io.Discard)
	})
}

// measure calls f n times, one after the other.
func (s *scale) measure(bucket, what string, n int, f func(i int) (int64, error)) error {
	before, err := sample(s.c)
	if err != nil {
		return err
	}
	begin := time.Now()
	var received int64
	latency := make([]time.Duration, n)
	for i := range latency {
		t := time.Now()
		got, err := f(i)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		latency[i] = time.Since(t)
		received += got
	}
	after, err := sample(s.c)
	if err != nil {
		return err
	}
	s.print(bucket, what, latency, time.Since(begin), before, after, received, 0)
	return nil
}

// listAll pages through a whole listing; every page is an operation.
func (s *scale) listAll(b cluster.Bucket, query, what string) error {
	before, err := sample(s.c)
	if err != nil {
		return err
	}
	begin := time.Now()
	var latency []time.Duration
	var received int64
	names := 0
	for token := ""; ; {
		q := query
		if token != "" {
			q = "continuation-token=" + url.QueryEscape(token) + "&" + query
		}
		var page bytes.Buffer
		t := time.Now()
		got, err := s.cl.do(context.Background(), "GET", "/"+b.Name, q, nil, &page)
		if err != nil {
			return err
		}
		latency, received = append(latency, time.Since(t)), received+got
		names += bytes.Count(page.Bytes(), []byte("<Key>")) + bytes.Count(page.Bytes(), []byte("<CommonPrefixes>"))
		next := elements(page.Bytes(), "NextContinuationToken")
		if len(next) == 0 {
			break
		}
		token = next[0]
	}
	after, err := sample(s.c)
	if err != nil {
		return err
	}
	if names != s.n {
		return fmt.Errorf("%s: %d names are listed, want %d", what, names, s.n)
	}
	s.print(b.Name, what, latency, time.Since(begin), before, after, received, names)
	return nil
}

// elements returns what stands in all elements of a name that hold text only.
func elements(b []byte, name string) (all []string) {
	for {
		_, rest, ok := bytes.Cut(b, []byte("<"+name+">"))
		if !ok {
			return all
		}
		v, after, _ := bytes.Cut(rest, []byte("<"))
		all, b = append(all, html.UnescapeString(string(v))), after
	}
}

func (s *scale) print(bucket, what string, latency []time.Duration, elapsed time.Duration, before, after counters, received int64, names int) {
	n := float64(max(len(latency), 1))
	slices.Sort(latency)
	at := func(q float64) string {
		if len(latency) == 0 || latency[len(latency)-1] == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", float64(latency[int(q*float64(len(latency)-1))].Microseconds())/1000)
	}
	rate := ""
	if names > 0 {
		rate = fmt.Sprintf("%.0f", float64(names)/elapsed.Seconds())
	}
	cost := fmt.Sprintf("%.0f\t%.0f\t%.2f\t%.1f\t%d", float64((after.cpu-before.cpu).Microseconds())/n, (after.steps-before.steps)/n, (after.preads-before.preads)/n, float64(received)/n/1024, after.rss>>20)
	if after == (counters{}) {
		cost = strings.Repeat("-\t", 4) + "-"
	}
	fmt.Fprintf(s.out, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t\n", bucket, what, len(latency), at(.5), at(.99), cost, rate)
}
