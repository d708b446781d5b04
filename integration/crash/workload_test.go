package crash

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

var buckets = []string{"first", "second"}

// sizes of bodies: nothing, one block, just in the log and just beyond, several blocks.
var sizes = []int{0, 1, 4096, 4096, 60 << 10, 200 << 10}

const (
	hugeBytes = 9 << 20
	partBytes = 5 << 20 // the least of a part that is not the last
)

// worker does random requests on keys of its own and notes in the history what it was told. It is one goroutine.
type worker struct {
	client  *client
	h       *history
	rng     *rand.Rand
	prefix  string
	keys    int
	huge    int  // bodies above 1 MiB that may still be sent
	faulty  bool // requests may fail with 5xx
	failed  int  // that did
	counter uint64
	tag     uint64
}

func newWorker(c *client, h *history, seed uint64, id int) *worker {
	return &worker{client: c, h: h, rng: rand.New(rand.NewPCG(seed, uint64(id))), prefix: fmt.Sprintf("c%d/", id), keys: 10, tag: seed ^ uint64(id)<<56}
}

// fresh returns new content.
func (w *worker) fresh(size int) *value {
	w.counter++
	return content(w.tag+w.counter, size)
}

func (w *worker) pick() name {
	return name{buckets[w.rng.IntN(len(buckets))], fmt.Sprintf("%skey //%d ä", w.prefix, w.rng.IntN(w.keys))}
}

func (w *worker) body() *value {
	if w.huge > 0 && w.rng.IntN(40) == 0 {
		w.huge--
		return w.fresh(hugeBytes)
	}
	return w.fresh(sizes[w.rng.IntN(len(sizes))])
}

// failure judges a reply that is not what it should be.
func (w *worker) failure(what string, a answer) error {
	if w.faulty && a.status/100 == 5 {
		w.failed++
		return nil
	}
	return fmt.Errorf("%s: %v", what, a)
}

// setUp makes the buckets.
func (w *worker) setUp() error {
	for _, b := range buckets {
		w.h.setBucket(b, false)
		a := w.client.do("PUT", "/"+b, nil)
		for i := 0; i < 3 && w.faulty && a.status/100 == 5; i++ {
			a = w.client.do("PUT", "/"+b, nil)
		}
		if !a.ok() && a.status != 409 {
			if err := w.failure("make bucket "+b, a); err != nil {
				return err
			}
			continue
		}
		w.h.setBucket(b, true)
	}
	return nil
}

// step does one random operation.
func (w *worker) step() error {
	switch k := w.rng.IntN(100); {
	case k < 48:
		return w.put(w.pick(), w.body())
	case k < 64:
		return w.remove(w.pick())
	case k < 72:
		return w.copy(w.pick(), w.pick())
	case k < 78:
		return w.removeSome([]name{w.pick(), w.pick(), w.pick()})
	case k < 88:
		return w.multipart(w.pick())
	default:
		return w.read(w.pick())
	}
}

func (w *worker) put(n name, v *value) error {
	var headers []string
	switch w.rng.IntN(3) {
	case 0:
		sum := md5.Sum(v.data)
		headers = []string{"Content-MD5", base64.StdEncoding.EncodeToString(sum[:])}
	case 1:
		headers = []string{"X-Amz-Checksum-Algorithm", "CRC64NVME"}
	}
	w.h.begin(n, v)
	w.h.fly(w.prefix, len(v.data))
	a := w.client.do("PUT", n.target(), v.data, headers...)
	w.h.fly(w.prefix, 0)
	if !a.ok() {
		return w.failure(fmt.Sprintf("put %d bytes to %v", len(v.data), n), a)
	}
	w.h.done(n, v)
	return nil
}

func (w *worker) remove(n name) error {
	w.h.begin(n, nil)
	a := w.client.do("DELETE", n.target(), nil)
	if !a.ok() {
		return w.failure(fmt.Sprintf("delete %v", n), a)
	}
	w.h.done(n, nil)
	return nil
}

// removeSome is DeleteObjects of the first one's bucket.
func (w *worker) removeSome(ns []name) error {
	b := ns[0].bucket
	ns = slices.DeleteFunc(ns, func(n name) bool { return n.bucket != b })
	slices.SortFunc(ns, func(x, y name) int { return strings.Compare(x.key, y.key) })
	ns = slices.Compact(ns)
	var doc strings.Builder
	doc.WriteString("<Delete><Quiet>true</Quiet>")
	for _, n := range ns {
		w.h.begin(n, nil)
		doc.WriteString("<Object><Key>" + n.key + "</Key></Object>")
	}
	doc.WriteString("</Delete>")
	sum := md5.Sum([]byte(doc.String()))
	a := w.client.do("POST", "/"+b+"?delete=", []byte(doc.String()), "Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	if !a.ok() {
		return w.failure("delete objects", a)
	}
	for _, n := range ns {
		if strings.Contains(string(a.body), "<Error><Key>"+n.key) {
			if !w.faulty {
				return fmt.Errorf("delete objects: %v", a)
			}
			w.failed++
			continue
		}
		w.h.done(n, nil)
	}
	return nil
}

func (w *worker) copy(from, to name) error {
	s := w.h.get(from)
	if s.acked == nil || len(s.maybe) > 0 || from == to {
		return nil
	}
	w.h.begin(to, s.acked)
	w.h.fly(w.prefix, len(s.acked.data))
	defer w.h.fly(w.prefix, 0)
	a := w.client.do("PUT", to.target(), nil, "X-Amz-Copy-Source", from.target())
	if !a.ok() || strings.Contains(string(a.body), "<Error>") {
		if a.ok() {
			a.status = 500 // an error that was found after the reply had begun
		}
		return w.failure(fmt.Sprintf("copy %v to %v", from, to), a)
	}
	w.h.done(to, s.acked)
	return nil
}

// multipart begins an upload, sends parts, and completes it, aborts it or leaves it.
func (w *worker) multipart(n name) error {
	if _, busy := w.h.copy().uploads[n]; busy {
		return nil
	}
	w.h.setUpload(n, &multipart{}) // one that nobody knows the id of
	a := w.client.do("POST", n.target()+"?uploads=", nil)
	var made struct{ UploadId string }
	if !a.ok() || xml.Unmarshal(a.body, &made) != nil {
		return w.failure("create upload", a)
	}
	m := multipart{id: made.UploadId, open: true}
	w.h.setUpload(n, &m)
	bodies := []*value{w.fresh(sizes[1+w.rng.IntN(len(sizes)-1)])}
	if w.huge > 0 && w.rng.IntN(4) == 0 {
		w.huge--
		bodies = append([]*value{w.fresh(partBytes)}, bodies...)
	}
	for i, v := range bodies {
		busy := m
		busy.open = false
		w.h.setUpload(n, &busy)
		w.h.fly(w.prefix, len(v.data))
		a := w.client.do("PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", n.target(), i+1, m.id), v.data)
		w.h.fly(w.prefix, 0)
		if !a.ok() {
			return w.failure("upload part", a)
		}
		m.parts = append(slices.Clone(m.parts), part{a.header.Get("ETag"), v.data})
		w.h.setUpload(n, &m)
	}
	switch w.rng.IntN(5) {
	case 0: // left open
		return nil
	case 1:
		m.open = false
		w.h.setUpload(n, &m)
		if a := w.client.do("DELETE", n.target()+"?uploadId="+m.id, nil); !a.ok() {
			return w.failure("abort upload", a)
		}
		w.h.setUpload(n, nil)
		return nil
	}
	return w.complete(n, m)
}

func (m *multipart) document() []byte {
	var doc strings.Builder
	doc.WriteString("<CompleteMultipartUpload>")
	for i, p := range m.parts {
		fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, p.etag)
	}
	doc.WriteString("</CompleteMultipartUpload>")
	return []byte(doc.String())
}

func (m *multipart) value() *value {
	v := &value{}
	for _, p := range m.parts {
		v.data = append(v.data, p.data...)
	}
	return v
}

func (w *worker) complete(n name, m multipart) error {
	v := m.value()
	m.open = false
	w.h.setUpload(n, &m)
	w.h.begin(n, v)
	a := w.client.do("POST", n.target()+"?uploadId="+m.id, m.document())
	if a.ok() && strings.Contains(string(a.body), "<Error>") {
		a.status = 500
	}
	if !a.ok() {
		return w.failure("complete upload", a)
	}
	w.h.done(n, v)
	w.h.setUpload(n, nil)
	return nil
}

// read checks what a key shows while nothing else happens to it.
func (w *worker) read(n name) error {
	s := w.h.get(n)
	a := w.client.do("GET", n.target(), nil)
	if a.status/100 == 5 {
		return w.failure(fmt.Sprintf("get %v", n), a)
	}
	if _, ok := s.allows(a); !ok {
		return fmt.Errorf("get %v: got %v, want %v or one of %v", n, a.status, s.acked, s.maybe)
	}
	return nil
}
