package sim

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"ostor/gateway/account"
	"ostor/internal/fault"
)

// The keys of the workload: few, so that requests meet. Some lie below a prefix.
const (
	plainKeys     = 10
	versionedKeys = 4
	allKeys       = plainKeys + versionedKeys
)

var s3buckets = [...]string{"plain", "versioned"}

func versioned(key int) bool { return key >= plainKeys }

func bucketOf(key int) string {
	if versioned(key) {
		return s3buckets[1]
	}
	return s3buckets[0]
}

// keyIn returns the name of a key in its bucket: "a/k0", "b/k1", "k2", "a/k3" ...
func keyIn(key int) string { return [...]string{"a/", "b/", ""}[key%3] + fmt.Sprintf("k%d", key) }

func keyName(key int) string { return "/" + bucketOf(key) + "/" + keyIn(key) }

var s3signer = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })

// s3client is one of the workload's clients: one goroutine, which tells the history what it asked and what it was told.
type s3client struct {
	w   *world
	id  int
	rnd *rand.Rand
}

// reply is what a client got; status 0 = nothing, what was asked may have happened; -1 = it was not even sent.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) ok() bool { return r.status/100 == 2 }

// unknown reports whether a write with this reply may have happened.
func (r reply) unknown() bool { return r.status == 0 || r.status/100 == 5 }

func (r reply) String() string { return fmt.Sprintf("%d %.300s", r.status, r.body) }

// patience is how long a client waits for a reply.
const patience = 20 * unit

// calmAfter is how long after the last fault every request must be answered, and not with 5xx.
const calmAfter = 35 * unit

// do sends a request to some gateway.
func (c *s3client) do(method, target string, body []byte, headers ...string) (r reply) {
	w := c.w
	strict := time.Now().After(w.end().Add(calmAfter))
	defer func() {
		if r.status > 0 {
			w.n.acked.Add(1)
		}
		if strict && r.status/100 != 2 && r.status/100 != 4 {
			w.violation("%s %s: %v, %v after the faults stopped", method, target, r, time.Since(w.end()))
		}
	}()
	d := w.door()
	for i := 0; d == nil && i < 20; i++ {
		if !w.sleep(unit / 2) {
			return reply{status: -1}
		}
		d = w.door()
	}
	if d == nil {
		return reply{status: -1}
	}
	w.n.ops.Add(1)
	ctx, cancel := context.WithCancel(d.p.ctx)
	defer cancel()
	done := make(chan reply, 1)
	q := c.sign(ctx, method, target, body, headers)
	w.spawn(func() {
		a := serve(d.gateway, q)
		if d.p.pause() == nil {
			done <- a
		}
	})
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r = <-done:
		return r
	case <-timer.C:
	case <-d.p.dead:
	}
	return reply{}
}

func (c *s3client) sign(ctx context.Context, method, target string, body []byte, headers []string) *http.Request {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	q := httptest.NewRequestWithContext(ctx, method, "http://cluster"+target, bytes.NewReader(body))
	q.ContentLength = int64(len(body))
	for i := 0; i+1 < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	q.Header.Set("X-Amz-Content-Sha256", hash)
	k := c.w.site.user.Keys[0]
	if err := s3signer.SignHTTP(ctx, aws.Credentials{AccessKeyID: k.AccessKey, SecretAccessKey: k.Secret}, q, hash, "s3", "us-east-1", time.Now()); err != nil {
		panic(err) // the test is wrong
	}
	q.Header.Set("Content-Length", strconv.Itoa(len(body))) // as it comes over a network: of an empty body, too
	return q
}

// serve runs a request in a gateway; a reply that is cut off is none.
func serve(h http.Handler, q *http.Request) (r reply) {
	rec := httptest.NewRecorder()
	defer func() { // as net/http does
		if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // the sentinel itself
			r = reply{}
		} else if p != nil {
			panic(p)
		}
	}()
	h.ServeHTTP(rec, q)
	header := http.Header{}
	for name, v := range rec.Header() { // as a client would see them: S3's spelling of ETag is not Go's
		header[http.CanonicalHeaderKey(name)] = v
	}
	return reply{rec.Code, header, rec.Body.Bytes()}
}

// setUpBuckets makes the user and the buckets while there are no faults.
func (w *world) setUpBuckets() bool {
	c := &s3client{w: w}
	for {
		if !w.sleep(unit) {
			return false
		}
		d := w.door()
		if d == nil {
			continue
		}
		u, err := d.accounts.Create(d.p.ctx, account.CreateOptions{Email: "sim@example.com"})
		if errors.Is(err, fault.Exists) {
			u, err = d.accounts.FindEmail(d.p.ctx, "sim@example.com")
		}
		if err == nil {
			w.site.user = u
			break
		}
	}
	try := func(method, target string, body string, headers ...string) bool {
		for range 60 {
			if r := c.do(method, target, []byte(body), headers...); r.ok() || r.status == 409 {
				return true
			}
			if !w.sleep(unit) {
				return false
			}
		}
		w.violation("%s %s was not answered while nothing was broken", method, target)
		return false
	}
	doc := "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
	sum := md5.Sum([]byte(doc))
	return try("PUT", "/"+s3buckets[0], "") && try("PUT", "/"+s3buckets[1], "") &&
		try("PUT", "/"+s3buckets[1]+"?versioning=", doc, "Content-MD5", base64.StdEncoding.EncodeToString(sum[:])) &&
		w.sleep(2*unit) // every gateway knows
}

// work does random operations until a time: all the time while there are faults, and again when all must be well; little while the cluster recovers.
func (c *s3client) work(until time.Time) {
	w := c.w
	for time.Now().Before(until) {
		pause := w.duration(unit / 3)
		if since := time.Since(w.end()); since > 0 && since < calmAfter {
			pause = w.duration(6 * unit)
		}
		if !w.sleep(pause) {
			return
		}
		c.step()
	}
}

// step does one random operation. What a mutant needs is done more often, and on fewer keys.
func (c *s3client) step() {
	key, n := c.rnd.IntN(allKeys), c.rnd.IntN(100)
	if c.w.hint != hintNone && c.rnd.IntN(2) == 0 {
		key = c.rnd.IntN(3)
		switch c.w.hint {
		case hintUploads:
			n = 60
		case hintConditions:
			n = 26
		case hintSleeps: // what names alone decide
			key, n = c.rnd.IntN(plainKeys), [...]int{26, 34, 52}[c.rnd.IntN(3)]
		case hintDeletes:
			n = 34
		case hintWrites, hintBreaks:
			n = 0
		case hintLate: // versions stay, to be looked at in the end
			if key = c.rnd.IntN(allKeys); versioned(key) {
				n = 0
			}
		}
	}
	switch {
	case n < 26:
		c.put(key)
	case n < 34:
		c.putIf(key)
	case n < 44:
		c.remove(key)
	case n < 52:
		c.copy(key, c.rnd.IntN(allKeys))
	case n < 60:
		c.list()
	case n < 68:
		c.multipart(key)
	case n < 71:
		c.removeSome()
	case n < 77 && versioned(key):
		c.version(key)
	default:
		c.get(key)
	}
}

// fresh returns a new write with a content of its own, and its bytes.
func (c *s3client) fresh() (id int64, body []byte) {
	h := &c.w.site.s3
	id = h.number()
	size := lineBytes + int(id*131%1900)
	switch {
	case id%64 == 0:
		size = 66_000 + int(id*977%200_000)
	case id%8 == 0:
		size = 3000 + int(id*977%60000)
	case id%29 == 0:
		h.writes(id, emptyContent)
		return id, nil
	}
	b := &blob{seeds: []int64{id}, sizes: []int{size}}
	h.addBlob(id, b)
	h.writes(id, id)
	return id, b.bytes()
}

func opHeader(id int64) []string { return []string{"X-Amz-Meta-Op", strconv.FormatInt(id, 10)} }

func (c *s3client) put(key int) {
	id, body := c.fresh()
	op := c.w.site.s3.begin(s3op{key: key, kind: s3Put, id: id})
	c.wrote(op, id, c.do("PUT", keyName(key), body, opHeader(id)...), "put", key)
}

// putIf is a put if there is nothing, or if what a read shows is still there.
func (c *s3client) putIf(key int) {
	h := &c.w.site.s3
	id, body := c.fresh()
	if c.rnd.IntN(2) == 0 {
		op := h.begin(s3op{key: key, kind: s3PutNew, id: id})
		c.wrote(op, id, c.do("PUT", keyName(key), body, append(opHeader(id), "If-None-Match", "*")...), "put if none", key)
		return
	}
	seen := c.get(key)
	if seen <= 0 {
		return
	}
	content := h.contentOf(seen)
	op := h.begin(s3op{key: key, kind: s3PutMatch, id: id, arg: content})
	c.wrote(op, id, c.do("PUT", keyName(key), body, append(opHeader(id), "If-Match", `"`+h.etagOf(content)+`"`)...), "put if match", key)
}

// wrote notes what became of a write.
func (c *s3client) wrote(op int, id int64, r reply, what string, key int) {
	h := &c.w.site.s3
	switch {
	case r.ok():
		h.done(op, 0, false)
		if v := r.header.Get("X-Amz-Version-Id"); v != "" && id != 0 {
			h.mu.Lock()
			h.versions[id] = v
			h.mu.Unlock()
		}
	case r.status == -1:
		h.void(op)
	case r.unknown():
	case (r.status == 412 || r.status == 404) && h.conditional(op):
		h.done(op, 0, true)
	default:
		c.w.violation("%s %s: %v", what, keyName(key), r)
	}
}

func (c *s3client) remove(key int) {
	h := &c.w.site.s3
	op := h.begin(s3op{key: key, kind: s3Delete, id: h.number()})
	c.wrote(op, 0, c.do("DELETE", keyName(key), nil), "delete", key)
}

// removeSome is DeleteObjects.
func (c *s3client) removeSome() {
	h := &c.w.site.s3
	first := c.rnd.IntN(plainKeys)
	ops := map[int]int{}
	var doc strings.Builder
	doc.WriteString("<Delete>")
	for _, key := range []int{first, (first + 3) % plainKeys, (first + 4) % plainKeys} {
		ops[key] = h.begin(s3op{key: key, kind: s3Delete, id: h.number()})
		doc.WriteString("<Object><Key>" + keyIn(key) + "</Key></Object>")
	}
	doc.WriteString("</Delete>")
	sum := md5.Sum([]byte(doc.String()))
	r := c.do("POST", "/"+s3buckets[0]+"?delete=", []byte(doc.String()), "Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	for key, op := range ops {
		switch {
		case r.status == -1:
			h.void(op)
		case r.ok() && bytes.Contains(r.body, []byte("<Deleted><Key>"+keyIn(key)+"<")):
			h.done(op, 0, false)
		case r.ok() || r.unknown(): // an <Error>: of this key nothing is known
		default:
			c.w.violation("delete some of %s: %v", s3buckets[0], r)
		}
	}
}

// get reads a key, or a range of it, and returns the write that it saw: 0 = none, -1 = no reply.
func (c *s3client) get(key int) int64 {
	h := &c.w.site.s3
	op := h.begin(s3op{key: key, kind: s3Get})
	var headers []string
	part := c.rnd.IntN(4) == 0
	if part {
		headers = []string{"Range", "bytes=10-1500"}
	}
	r := c.do("GET", keyName(key), nil, headers...)
	switch {
	case r.status == 404:
		h.done(op, 0, false)
		return 0
	case r.status == 416 && part:
		h.void(op)
		return -1
	case !r.ok():
		h.void(op)
		if !r.unknown() && r.status != -1 {
			c.w.violation("get %s: %v", keyName(key), r)
		}
		return -1
	}
	id := c.verify(key, r, part)
	h.done(op, id, false)
	return id
}

// verify compares the bytes of a reply with those of the write that it names.
func (c *s3client) verify(key int, r reply, part bool) int64 {
	h := &c.w.site.s3
	id, err := strconv.ParseInt(r.header.Get("X-Amz-Meta-Op"), 10, 64)
	b := h.blobOf(id)
	if err != nil || b == nil {
		c.w.violation("get %s: of no write that there was: %v", keyName(key), r.header)
		return -1
	}
	want := b.bytes()
	if part {
		want = want[min(10, len(want)):min(1501, len(want))]
	}
	if !bytes.Equal(r.body, want) || strings.Trim(r.header.Get("Etag"), `"`) != b.etag {
		c.w.violation("get %s: %d bytes %.40q with ETag %s, but write %d has %d bytes %.40q with %s", keyName(key), len(r.body), r.body, r.header.Get("Etag"), id, len(want), want, b.etag)
	}
	return id
}

// copy copies what a read shows of from, if it is still there, to to.
func (c *s3client) copy(from, to int) {
	h := &c.w.site.s3
	seen := c.get(from)
	if seen <= 0 || from == to {
		return
	}
	content, id := h.contentOf(seen), h.number()
	written := content
	if b := h.blobOf(seen); len(b.seeds) > 1 || strings.Contains(b.etag, "-") { // the copy is one piece, so that it has another ETag
		written = h.addBlob(id, &blob{seeds: b.seeds, sizes: b.sizes})
	}
	h.writes(id, written)
	call := h.tick()
	op := h.begin(s3op{key: to, kind: s3Put, id: id})
	r := c.do("PUT", keyName(to), nil, append(opHeader(id), "X-Amz-Copy-Source", keyName(from), "X-Amz-Copy-Source-If-Match", `"`+h.etagOf(content)+`"`, "X-Amz-Metadata-Directive", "REPLACE")...)
	if r.ok() && bytes.Contains(r.body, []byte("<Error>")) { // found after the reply had begun
		r.status = 500
	}
	switch {
	case r.status == 412 || r.status == 404:
		h.void(op)
		h.saw(s3op{key: from, kind: s3NotSeen, arg: content}, call)
		return
	case r.ok():
		h.saw(s3op{key: from, kind: s3Seen, out: content}, call)
		if !bytes.Contains(r.body, []byte(h.etagOf(written))) {
			c.w.violation("copy %s to %s: want ETag %s: %v", keyName(from), keyName(to), h.etagOf(written), r)
		}
	}
	c.wrote(op, id, r, "copy", to)
}
