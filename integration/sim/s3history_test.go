package sim

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
)

// The reference model of the S3 subset, and the history of what clients saw. Every write has a number of its own, which travels in the object's metadata: so a read says which
// write it saw. What a write wrote is its content, which a copy shares with its source; listings tell contents apart by their ETags.

type s3kind uint8

const (
	s3Get           s3kind = iota // out: the write that is current, 0 = none
	s3Seen                        // out: the content that is current, 0 = none: a key of a listing, the source of a copy
	s3NotSeen                     // arg: a content that is not current
	s3Put                         // id
	s3PutNew                      // id, if there is nothing; refused: there was
	s3PutMatch                    // id, if arg is the current content; refused: it was not
	s3Delete                      // id of the delete marker in a versioned bucket
	s3GetVersion                  // arg: the write whose version; out: arg, or 0
	s3DeleteVersion               // arg
)

var s3kindNames = [...]string{"get", "key in a list", "not there", "put", "put if none", "put if match", "delete", "get version", "delete version"}

// s3op is one operation on one key. Nothing of the workload but these reaches the checker.
type s3op struct {
	key          int
	kind         s3kind
	call, ret    int64 // places in the order of all calls and returns; ret is math.MaxInt64 while the outcome is unknown
	id, arg, out int64
	refused      bool // a condition did not hold
	void         bool // no effect and saw nothing
}

// blob is a content: one piece, or the parts of an upload.
type blob struct {
	seeds []int64
	sizes []int
	etag  string
}

func (b *blob) size() (n int) {
	for _, s := range b.sizes {
		n += s
	}
	return n
}

func (b *blob) bytes() []byte {
	all := make([]byte, 0, b.size())
	for i, seed := range b.seeds {
		all = append(all, pieceBytes(seed, b.sizes[i])...)
	}
	return all
}

const lineBytes = 20 // a piece has at least one line: shorter ones would be equal

// pieceBytes follow from a number, so that wrong ones show.
func pieceBytes(seed int64, size int) []byte {
	line := fmt.Appendf(nil, "%019d.", seed)
	b := make([]byte, 0, size+len(line))
	for len(b) < size {
		b = append(b, line...)
	}
	return b[:size]
}

type s3history struct {
	mu       sync.Mutex
	clock    int64
	next     int64
	ops      []s3op
	contents map[int64]int64 // write -> content
	blobs    map[int64]*blob
	etags    map[string]int64
	versions map[int64]string // write -> version id
}

const emptyContent = -1 // of all that have no bytes

func (h *s3history) init() {
	h.contents, h.blobs, h.etags, h.versions = map[int64]int64{}, map[int64]*blob{}, map[string]int64{}, map[int64]string{}
	h.addBlob(emptyContent, &blob{})
}

// addBlob computes the ETag of a content and makes it known. It returns its number: another one when it was known before, as that of a copy of the same upload is.
func (h *s3history) addBlob(content int64, b *blob) int64 {
	sum := md5.Sum(b.bytes())
	b.etag = hex.EncodeToString(sum[:])
	if known, ok := h.contentOfETag(b.etag); ok {
		return known
	}
	h.keepBlob(content, b)
	return content
}

func (h *s3history) keepBlob(content int64, b *blob) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.blobs[content], h.etags[b.etag] = b, content
}

// number returns a new one, for a write or a part.
func (h *s3history) number() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	return h.next
}

// writes notes what a write will write.
func (h *s3history) writes(id, content int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.contents[id] = content
}

func (h *s3history) blobOf(id int64) *blob {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.blobs[h.contents[id]]
}

func (h *s3history) contentOf(id int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.contents[id]
}

func (h *s3history) contentOfETag(etag string) (int64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.etags[strings.Trim(etag, `"`)]
	return c, ok
}

func (h *s3history) etagOf(content int64) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.blobs[content].etag
}

func (h *s3history) tick() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	return h.clock
}

func (h *s3history) begin(o s3op) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	o.call, o.ret = h.clock, math.MaxInt64
	h.ops = append(h.ops, o)
	return len(h.ops) - 1
}

func (h *s3history) done(i int, out int64, refused bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	h.ops[i].ret, h.ops[i].out, h.ops[i].refused = h.clock, out, refused
}

// void notes that an operation had no effect and saw nothing.
func (h *s3history) void(i int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops[i].void = true
}

// conditional reports whether an operation may be refused.
func (h *s3history) conditional(i int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ops[i].kind == s3PutNew || h.ops[i].kind == s3PutMatch
}

// saw adds something that was seen between call and now.
func (h *s3history) saw(o s3op, call int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	o.call, o.ret = call, h.clock
	h.ops = append(h.ops, o)
}

// plain is the model of a key of a bucket without versions: the state is the write that is current, an int64, 0 = none.
func (h *s3history) plain(state any, o *s3op) (ok bool, next any) {
	cur := state.(int64)
	switch o.kind {
	case s3Delete:
		return true, int64(0)
	case s3GetVersion, s3DeleteVersion:
		return false, state
	}
	ok, writes := o.apply(cur, h.contents[cur])
	if writes {
		return ok, o.id
	}
	return ok, state
}

// versioned is the model of a key of a versioned bucket: the state is its versions, oldest first, each "12," or, a delete marker, "d,".
func (h *s3history) versioned(state any, o *s3op) (ok bool, next any) {
	all := state.(string)
	version := strconv.FormatInt(o.arg, 10) + ","
	at := strings.Index(","+all, ","+version)
	switch o.kind {
	case s3Delete:
		if strings.HasSuffix(all, "d,") { // one more tells nothing: the workload deletes no markers
			return true, all
		}
		return true, all + "d,"
	case s3GetVersion:
		return (at >= 0) == (o.out != 0), state
	case s3DeleteVersion:
		if at >= 0 {
			all = all[:at] + all[at+len(version):]
		}
		return true, all
	}
	cur := int64(0)
	if n := len(all); n > 0 {
		if last := all[strings.LastIndexByte(all[:n-1], ',')+1 : n-1]; last[0] != 'd' {
			cur, _ = strconv.ParseInt(last, 10, 64)
		}
	}
	ok, writes := o.apply(cur, h.contents[cur])
	if writes {
		return ok, all + strconv.FormatInt(o.id, 10) + ","
	}
	return ok, state
}

// apply says whether an operation fits a current write and its content, and whether it writes.
func (o *s3op) apply(cur, content int64) (ok, writes bool) {
	unknown := o.ret == math.MaxInt64
	holds := true
	switch o.kind {
	case s3Get:
		return o.out == cur, false
	case s3Seen:
		return o.out == content, false
	case s3NotSeen:
		return o.arg != content, false
	case s3PutNew:
		holds = cur == 0
	case s3PutMatch:
		holds = cur != 0 && content == o.arg
	}
	if unknown {
		return true, holds
	}
	return holds != o.refused, holds
}

func (o *s3op) String() string {
	s := fmt.Sprintf("%s [%d,%d] id=%d arg=%d out=%d", s3kindNames[o.kind], o.call, o.ret, o.id, o.arg, o.out)
	if o.ret == math.MaxInt64 {
		s = fmt.Sprintf("%s [%d,?] id=%d arg=%d no reply", s3kindNames[o.kind], o.call, o.id, o.arg)
	}
	if o.refused {
		s += " refused"
	}
	return s
}

// check returns what is wrong with the history, and how many keys were too hard to check.
func (h *s3history) check() (bad []string, unchecked int) {
	byKey := make(map[int][]*s3op)
	seen := make(map[int64]int64) // write -> earliest return of who saw it
	for i := range h.ops {
		o := &h.ops[i]
		if o.void {
			continue
		}
		byKey[o.key] = append(byKey[o.key], o)
		if at, ok := seen[o.out]; o.out != 0 && o.kind != s3Seen && o.ret != math.MaxInt64 && (!ok || o.ret < at) {
			seen[o.out] = o.ret
		}
	}
	for key, ops := range byKey {
		for _, o := range ops {
			if at, found := seen[o.id]; found && o.id != 0 && o.ret == math.MaxInt64 && o.kind == s3Put {
				o.ret = at // it has happened, before whoever saw it was answered
				if at < o.call {
					bad = append(bad, fmt.Sprintf("%s: %v was seen before", keyName(key), o))
				}
			}
		}
		step, initial := h.plain, any(int64(0))
		if versioned(key) {
			step, initial = h.versioned, ""
		}
		if v, _ := (&linearizable{step: step, lazy: true}).check(initial, ops); v == fits {
			continue
		}
		switch v, o := (&linearizable{step: step}).check(initial, h.relevant(ops)); v {
		case doesNotFit:
			bad = append(bad, fmt.Sprintf("%s: %d operations are not linearizable: %s", keyName(key), len(ops), h.explain(ops, o)))
		case tooHard:
			unchecked++
		}
	}
	return bad, unchecked
}

// relevant leaves out writes without a reply that nobody can have noticed: their contents were not seen, and nothing was refused after they began.
func (h *s3history) relevant(ops []*s3op) (some []*s3op) {
	shown := make(map[int64]bool)
	refused := int64(0) // the last refusal, or reading of nothing, which a later write may follow
	for _, o := range ops {
		switch {
		case o.kind == s3Seen:
			shown[o.out] = true
		case o.kind == s3Get || o.kind == s3GetVersion:
			shown[h.contents[o.out]] = true
		case o.refused, o.kind == s3NotSeen, o.kind == s3PutMatch:
			refused = max(refused, o.ret)
		}
	}
	for _, o := range ops {
		if o.ret == math.MaxInt64 && o.kind != s3Delete && o.kind != s3DeleteVersion && !shown[h.contents[o.id]] && o.call > refused {
			continue
		}
		some = append(some, o)
	}
	return some
}

// explain returns the operations before the one at whose return nothing fits.
func (h *s3history) explain(ops []*s3op, culprit *s3op) string {
	var b strings.Builder
	var before []*s3op
	for _, o := range ops {
		if o.call <= culprit.ret {
			before = append(before, o)
		}
	}
	for _, o := range before[max(0, len(before)-16):] {
		b.WriteString("\n\t" + o.String())
	}
	b.WriteString("\n\tnothing fits at the return of " + culprit.String())
	for i := range h.ops { // where it came from
		if o := &h.ops[i]; o.id != 0 && (o.id == culprit.out || h.contents[o.id] == culprit.out) {
			fmt.Fprintf(&b, "\n\tfrom %s: %v, void %v", keyName(o.key), o, o.void)
		}
	}
	return b.String()
}
