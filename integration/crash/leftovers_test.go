package crash

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ostor/gateway/account"
	"ostor/internal/cluster"
)

// shutBody ends after some bytes as a connection does that is cut.
type shutBody struct{ r io.Reader }

func (b shutBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// yard is a running cluster with something in it, whose usage must not change.
type yard struct {
	t      *testing.T
	w      *world
	c      *client
	ahead  atomic.Int64 // nanoseconds by which the name servers' clock is ahead
	before usage
}

func newYard(t *testing.T) *yard {
	t.Helper()
	y := &yard{t: t}
	m, _ := newMachine(t)
	w, err := start(t.Context(), m, worldOptions{unit: time.Minute, lazy: true, clock: func() time.Time { return time.Now().Add(time.Duration(y.ahead.Load())) }})
	y.must(err)
	y.w = w
	t.Cleanup(func() {
		y.must(w.check(context.Background()))
		y.must(w.end(true))
	})
	u, err := w.user(t.Context())
	y.must(err)
	y.c = &client{w.gateway, u}
	y.want(200, y.c.do("PUT", "/box", nil))
	for i, size := range []int{1, 60 << 10, 200 << 10, hugeBytes} {
		y.want(200, y.c.do("PUT", fmt.Sprintf("/box/kept-%d", i), content(uint64(i), size).data))
	}
	y.must(w.collect(t.Context()))
	y.before = w.usage()
	if y.before.objects != 4 || y.before.live != 1+60<<10+200<<10+hugeBytes || y.before.allocated < y.before.live {
		t.Fatalf("usage is %+v", y.before)
	}
	return y
}

func (y *yard) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) want(status int, a answer) answer {
	y.t.Helper()
	if a.status != status {
		y.t.Errorf("got %v, want %d", a, status)
	}
	return a
}

// clean asserts that nothing was left behind and that no new name is there.
func (y *yard) clean(what string) {
	y.t.Helper()
	y.must(y.w.collect(y.t.Context()))
	if got := y.w.usage(); got != y.before {
		y.t.Errorf("%s: usage is %+v, was %+v", what, got, y.before)
	}
	all, err := y.c.list("box", 1000)
	y.must(err)
	if len(all) != 4 {
		y.t.Errorf("%s: %v is listed", what, all)
	}
	for _, n := range y.w.names {
		if s := n.Stats(); s.Guards != 0 {
			y.t.Errorf("%s: %d guards are left", what, s.Guards)
		}
	}
}

// bodySizes are within the log, of one block, and streamed over several blocks.
var bodySizes = []int{1, 4096, 60 << 10, 200 << 10, hugeBytes}

// TestBadBodies sends bodies that are not what they were said to be, to a new key, over an old one and as a part: the old stays, and no byte of the new.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	sha := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	bads := []struct {
		name   string
		status int
		send   func(target string, b []byte) answer
	}{
		{"connection cut", 400, func(target string, b []byte) answer {
			return y.c.send(y.c.request("PUT", target, shutBody{bytes.NewReader(b[:len(b)/2])}, int64(len(b)), sha(b)))
		}},
		{"connection cut, payload unsigned", 400, func(target string, b []byte) answer {
			return y.c.send(y.c.request("PUT", target, shutBody{bytes.NewReader(b[:len(b)-1])}, int64(len(b)), "UNSIGNED-PAYLOAD"))
		}},
		{"too short", 400, func(target string, b []byte) answer {
			return y.c.send(y.c.request("PUT", target, bytes.NewReader(b[:len(b)-1]), int64(len(b)), "UNSIGNED-PAYLOAD"))
		}},
		{"other payload hash", 400, func(target string, b []byte) answer {
			return y.c.send(y.c.request("PUT", target, bytes.NewReader(b), int64(len(b)), sha([]byte("other"))))
		}},
		{"other Content-MD5", 400, func(target string, b []byte) answer {
			return y.c.do("PUT", target, b, "Content-MD5", base64.StdEncoding.EncodeToString(make([]byte, 16)))
		}},
		{"other checksum", 400, func(target string, b []byte) answer {
			return y.c.do("PUT", target, b, "X-Amz-Checksum-Crc32c", base64.StdEncoding.EncodeToString([]byte{1, 2, 3, 4}))
		}},
		{"other checksum in the trailer", 400, func(target string, b []byte) answer { return y.c.send(y.c.trailing(target, b, 1)) }},
		{"signature of the last chunk", 403, func(target string, b []byte) answer {
			chunked, r := y.c.chunked(target, b)
			return y.c.send(y.c.spoilt(r, chunked, true))
		}},
		{"signature of the first chunk", 403, func(target string, b []byte) answer {
			chunked, r := y.c.chunked(target, b)
			return y.c.send(y.c.spoilt(r, chunked, false))
		}},
		{"chunks cut off", 400, func(target string, b []byte) answer {
			chunked, r := y.c.chunked(target, b)
			r.Body = io.NopCloser(shutBody{bytes.NewReader(chunked[:len(chunked)-90])})
			return y.c.send(r)
		}},
	}
	uploadID := y.c.begin(y, "/box/parted")
	for _, bad := range bads {
		for _, size := range bodySizes {
			targets := []string{"/box/new", "/box/kept-1", "/box/parted?partNumber=1&uploadId=" + uploadID}
			if size == hugeBytes { // slow
				targets = targets[:1]
			}
			for _, target := range targets {
				b := content(99, size).data
				if a := bad.send(target, b); a.status != bad.status {
					t.Errorf("%s, %d bytes to %s: %v, want %d", bad.name, size, target, a, bad.status)
				}
			}
		}
		y.clean(bad.name)
	}
	if a := y.c.do("GET", "/box/kept-1", nil); !content(1, 60<<10).is(a) {
		t.Errorf("the old object has become %d with %d bytes", a.status, len(a.body))
	}
	// The same requests without their faults are taken: it was the fault that was refused.
	b := content(98, 200<<10)
	chunked, r := y.c.chunked("/box/new", b.data)
	r.Body = io.NopCloser(bytes.NewReader(chunked))
	y.want(200, y.c.send(r))
	if a := y.c.do("GET", "/box/new", nil); !b.is(a) {
		t.Errorf("signed chunks: %d with %d bytes", a.status, len(a.body))
	}
	y.want(200, y.c.send(y.c.trailing("/box/new", b.data, 0)))
	y.want(204, y.c.do("DELETE", "/box/new", nil))
	y.want(204, y.c.do("DELETE", "/box/parted?uploadId="+uploadID, nil))
	y.clean("in the end")
}

func (c *client) begin(y *yard, target string) string {
	y.t.Helper()
	a := y.want(200, c.do("POST", target+"?uploads=", nil))
	_, rest, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ := strings.Cut(rest, "<")
	return id
}

// TestAbortedUploads aborts uploads with parts, parts sent twice, and one while a part is on its way; and completes one without all of its parts.
func TestAbortedUploads(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	target := "/box/upload"
	for _, size := range bodySizes {
		id := y.c.begin(y, target)
		for i := range 3 {
			y.want(200, y.c.do("PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", target, 1+i/2, id), content(uint64(i), size).data))
		}
		y.want(204, y.c.do("DELETE", target+"?uploadId="+id, nil))
		y.clean(fmt.Sprintf("parts of %d bytes", size))
	}
	id := y.c.begin(y, target)
	b := content(5, hugeBytes).data
	gate := &gatedBody{r: bytes.NewReader(b), at: len(b) / 2, reached: make(chan struct{}), open: make(chan struct{})}
	done := make(chan answer)
	go func() {
		done <- y.c.send(y.c.request("PUT", target+"?partNumber=1&uploadId="+id, gate, int64(len(b)), "UNSIGNED-PAYLOAD"))
	}()
	<-gate.reached
	y.want(204, y.c.do("DELETE", target+"?uploadId="+id, nil))
	close(gate.open)
	y.want(404, <-done)
	y.clean("a part that came after the abort")

	id = y.c.begin(y, target)
	var parts []string
	for i := range 3 {
		a := y.want(200, y.c.do("PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", target, i+1, id), content(uint64(i), partBytes).data))
		parts = append(parts, fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, a.header.Get("ETag")))
	}
	y.want(200, y.c.do("POST", target+"?uploadId="+id, []byte("<CompleteMultipartUpload>"+parts[0]+parts[2]+"</CompleteMultipartUpload>")))
	y.must(y.w.collect(t.Context()))
	if got := y.w.usage(); got.live != y.before.live+2*partBytes || got.objects != y.before.objects+2 {
		t.Errorf("after a completion with two of three parts usage is %+v, was %+v", got, y.before)
	}
	y.want(204, y.c.do("DELETE", target, nil))
	y.clean("a completed upload that was deleted")
}

// gatedBody waits at a byte until the test opens it.
type gatedBody struct {
	r             io.Reader
	at, n         int
	reached, open chan struct{}
}

func (g *gatedBody) Read(p []byte) (int, error) {
	if g.n >= g.at && g.reached != nil {
		close(g.reached)
		<-g.open
		g.reached = nil
	}
	n, err := g.r.Read(p)
	g.n += n
	return n, err
}

// TestExpiredGuards leaves what a gateway leaves that dies between the bytes and the name, and puts a name on expired bytes.
func TestExpiredGuards(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	ctx := t.Context()
	for i, size := range bodySizes {
		key := fmt.Sprintf("dead-%d", i)
		bucket, link := y.abandon(key, size)
		y.must(y.w.collect(ctx))
		if got := y.w.usage(); got.live != y.before.live+int64(size) {
			t.Errorf("guarded bytes are gone: usage is %+v, was %+v", got, y.before)
		}
		y.ahead.Add(int64(25 * time.Hour))
		y.clean("an expired guard")
		ns, err := y.w.topology.NameServerFor(bucket, key)
		y.must(err)
		_, err = ns.CreateEntry(ctx, cluster.CreateEntryRequest{Bucket: bucket, Entry: cluster.Entry{Key: key, Size: int64(size), Content: link, Modified: time.Now()}})
		if err == nil {
			t.Errorf("%d bytes whose guard has expired got a name", size)
		}
		y.clean("a name that came too late")
	}
}

// abandon makes bytes under a guard, as a gateway does before it dies.
func (y *yard) abandon(key string, size int) (cluster.BucketID, cluster.Link) {
	y.t.Helper()
	ctx := y.t.Context()
	bns, err := y.w.topology.NameServerOfBucket("box")
	y.must(err)
	b, err := bns.GetBucket(ctx, "box")
	y.must(err)
	ns, err := y.w.topology.NameServerFor(b.ID, key)
	y.must(err)
	server, err := y.w.topology.PlaceObject(b.ID, key, 0)
	y.must(err)
	os, err := y.w.topology.ObjectServer(server)
	y.must(err)
	link := cluster.Link{Server: server, Object: cluster.NewObjectID()}
	y.must(ns.Guard(ctx, cluster.Guard{Bucket: b.ID, Key: key, Content: link, Timeout: 24 * time.Hour}))
	_, err = os.CreateObject(ctx, link.Object, int64(size), bytes.NewReader(content(7, size).data))
	y.must(err)
	return b.ID, link
}

// chunkBytes is how much a chunk of a signed stream holds.
const chunkBytes = 64 << 10

// chunked returns b as STREAMING-AWS4-HMAC-SHA256-PAYLOAD wants it and a request that announces it.
func (c *client) chunked(target string, b []byte) ([]byte, *http.Request) {
	const hash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	length := 0
	for left := len(b); ; left -= chunkBytes {
		n := max(min(left, chunkBytes), 0)
		length += len(fmt.Sprintf("%x", n)) + len(";chunk-signature=") + 64 + 2 + n + 2
		if n == 0 {
			break
		}
	}
	r := c.request("PUT", target, http.NoBody, int64(length), hash, "X-Amz-Decoded-Content-Length", fmt.Sprint(len(b)), "Content-Encoding", "aws-chunked")
	date := r.Header.Get("X-Amz-Date")
	_, last, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	key := signingKey(c.user.Keys[0], date[:8])
	var out bytes.Buffer
	empty := sha256.Sum256(nil)
	for {
		n := min(len(b), chunkBytes)
		sum := sha256.Sum256(b[:n])
		last = hex.EncodeToString(mac(key, fmt.Sprintf("AWS4-HMAC-SHA256-PAYLOAD\n%s\n%s/us-east-1/s3/aws4_request\n%s\n%x\n%x", date, date[:8], last, empty, sum)))
		fmt.Fprintf(&out, "%x;chunk-signature=%s\r\n", n, last)
		out.Write(b[:n])
		out.WriteString("\r\n")
		if n == 0 {
			return out.Bytes(), r
		}
		b = b[n:]
	}
}

// spoilt gives a request chunks of which the first or the last has another signature.
func (c *client) spoilt(r *http.Request, chunked []byte, last bool) *http.Request {
	const mark = "chunk-signature="
	at := bytes.Index(chunked, []byte(mark))
	if last {
		at = bytes.LastIndex(chunked, []byte(mark))
	}
	if at += len(mark); chunked[at] == '0' {
		chunked[at] = '1'
	} else {
		chunked[at] = '0'
	}
	r.Body = io.NopCloser(bytes.NewReader(chunked))
	return r
}

// trailing is a PUT in one unsigned chunk with its CRC32 in the trailer, off by a number.
func (c *client) trailing(target string, b []byte, off uint32) *http.Request {
	sum := crc32.ChecksumIEEE(b) + off
	var out bytes.Buffer
	fmt.Fprintf(&out, "%x\r\n", len(b))
	out.Write(b)
	fmt.Fprintf(&out, "\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", base64.StdEncoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}))
	return c.request("PUT", target, &out, int64(out.Len()), "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
		"X-Amz-Decoded-Content-Length", fmt.Sprint(len(b)), "X-Amz-Trailer", "x-amz-checksum-crc32", "Content-Encoding", "aws-chunked")
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, s) // never fails
	return h.Sum(nil)
}

func signingKey(k account.KeyPair, day string) []byte {
	key := mac([]byte("AWS4"+k.Secret), day)
	for _, s := range []string{"us-east-1", "s3", "aws4_request"} {
		key = mac(key, s)
	}
	return key
}
