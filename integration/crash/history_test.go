package crash

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"

	"ostor/gateway/account"
)

func queryEscape(s string) string { return url.QueryEscape(s) }

// value is what a key has; nil: the key is absent.
type value struct{ data []byte }

func (v *value) String() string {
	if v == nil {
		return "absent"
	}
	return fmt.Sprintf("%d bytes %x", len(v.data), v.data[:min(len(v.data), 8)])
}

func (v *value) is(a answer) bool {
	if v == nil {
		return a.status == 404
	}
	return a.status == 200 && bytes.Equal(a.body, v.data)
}

// state is what clients know of one key. Immutable.
type state struct {
	acked *value
	maybe []*value // of requests that were not acknowledged: each may have happened or not
}

func (s state) allows(a answer) (*value, bool) {
	for _, v := range append([]*value{s.acked}, s.maybe...) {
		if v.is(a) {
			return v, true
		}
	}
	return nil, false
}

// part is an acknowledged part of an upload.
type part struct {
	etag string
	data []byte
}

// multipart is an upload whose creation was acknowledged and whose end was not. Immutable.
type multipart struct {
	id    string
	parts []part // acknowledged, numbered from 1
	open  bool   // nobody has asked for its end, and no part is on its way
}

// name is a key in a bucket.
type name struct{ bucket, key string }

func (n name) target() string {
	return "/" + n.bucket + "/" + (&url.URL{Path: n.key}).EscapedPath()
}

// history is what clients were told. Safe for concurrent use.
type history struct {
	mu      sync.Mutex
	user    account.User
	buckets map[string]bool // acknowledged: true; asked for: false
	keys    map[name]state
	uploads map[name]multipart
	flying  map[string]int64 // by worker: bytes of the request that is not answered yet
	acked   int              // operations
}

func newHistory() *history {
	return &history{buckets: map[string]bool{}, keys: map[name]state{}, uploads: map[name]multipart{}, flying: map[string]int64{}}
}

// frozen calls fn while nobody can begin or be told the end of an operation, with a copy of what is known now.
func (h *history) frozen(fn func(*history)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn(h.copyLocked())
}

func (h *history) copy() (c *history) {
	h.frozen(func(now *history) { c = now })
	return c
}

func (h *history) copyLocked() *history {
	return &history{user: h.user, buckets: maps.Clone(h.buckets), keys: maps.Clone(h.keys), uploads: maps.Clone(h.uploads), flying: maps.Clone(h.flying), acked: h.acked}
}

func (h *history) setUser(u account.User) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.user = u
}

func (h *history) setBucket(b string, acked bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buckets[b] = h.buckets[b] || acked
}

func (h *history) get(n name) state {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[n]
}

// begin notes that a request is sent that gives the key a value.
func (h *history) begin(n name, v *value) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.keys[n]
	h.keys[n] = state{s.acked, append(slices.Clone(s.maybe), v)}
}

// done notes that the last request begun was acknowledged.
func (h *history) done(n name, v *value) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys[n] = state{acked: v}
	h.acked++
}

func (h *history) setUpload(n name, m *multipart) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m == nil {
		delete(h.uploads, n)
	} else {
		h.uploads[n] = *m
	}
	h.acked++
}

// fly notes that a worker's request with so many bytes is on its way, 0: that it has been answered.
func (h *history) fly(worker string, bytes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flying[worker] = int64(bytes)
}

// names returns the keys of which something is known, sorted.
func (h *history) names() []name {
	h.mu.Lock()
	defer h.mu.Unlock()
	return sorted(h.keys)
}

func sorted[V any](m map[name]V) []name {
	return slices.SortedFunc(maps.Keys(m), func(a, b name) int { return bytes.Compare([]byte(a.bucket+"/"+a.key), []byte(b.bucket+"/"+b.key)) })
}

// content returns bytes that differ by seed.
func content(seed uint64, size int) *value {
	b := make([]byte, size)
	var s [32]byte
	for i := range 8 {
		s[i] = byte(seed >> (8 * i))
	}
	_, _ = rand.NewChaCha8(s).Read(b) // never fails
	return &value{b}
}
