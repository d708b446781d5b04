package sim

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"strings"

	"ostor/internal/cluster"
)

// multipart makes an upload and its parts, and completes it, abandons it, or lets its completion race with its abortion, with a part that is sent again, or with a second completion.
func (c *s3client) multipart(key int) {
	w, h := c.w, &c.w.site.s3
	id := h.number()
	r := c.do("POST", keyName(key)+"?uploads=", nil, opHeader(id)...)
	var made struct{ UploadId string }
	if !r.ok() || xml.Unmarshal(r.body, &made) != nil {
		c.only5xx("create upload", key, r)
		return
	}
	b := &blob{}
	sizes := []int{lineBytes + c.rnd.IntN(5000)}
	if c.rnd.IntN(25) == 0 {
		sizes = append([]int{cluster.MinPartBytes}, sizes...)
	}
	var sums []byte
	for i, size := range sizes {
		seed := h.number()
		etag, sum := partETag(seed, size)
		if r := c.sendPart(key, made.UploadId, i+1, seed, size); !r.ok() {
			c.only5xx("upload part", key, r)
			return
		} else if strings.Trim(r.header.Get("Etag"), `"`) != etag {
			w.violation("upload part to %s: want ETag %s: %v", keyName(key), etag, r.header)
		}
		b.seeds, b.sizes, sums = append(b.seeds, seed), append(b.sizes, size), append(sums, sum[:]...)
	}
	total := md5.Sum(sums)
	b.etag = fmt.Sprintf("%s-%d", hex.EncodeToString(total[:]), len(sizes))
	fate := c.rnd.IntN(8)
	w.logf("upload %d to %s: fate %d", id, keyName(key), fate)
	switch fate {
	case 0:
		return // abandoned
	case 1:
		if r := c.abort(key, made.UploadId); r.ok() { // from now on nothing may come of it
			h.keepBlob(id, b)
			h.writes(id, id)
			if r := c.complete(key, made.UploadId, b); r.ok() {
				w.violation("complete of %s succeeds after the upload was aborted: %v", keyName(key), r)
			}
		}
		return
	case 2, 3:
		other := &s3client{w: w, id: c.id, rnd: c.rnd}
		w.spawn(func() { w.sleep(w.duration(unit / 20)); other.abort(key, made.UploadId) })
	case 4:
		w.spawn(func() { w.sleep(w.duration(unit / 20)); c.sendPart(key, made.UploadId, 1, h.number(), 777) })
	}
	h.keepBlob(id, b)
	h.writes(id, id)
	op := h.begin(s3op{key: key, kind: s3Put, id: id})
	r = c.complete(key, made.UploadId, b)
	w.logf("upload %d: complete: %v", id, r)
	if r.status == 404 || r.status == 400 { // aborted, or its part was replaced
		h.void(op)
		return
	}
	c.wrote(op, id, r, "complete upload", key)
}

func partETag(seed int64, size int) (string, [md5.Size]byte) {
	sum := md5.Sum(pieceBytes(seed, size))
	return hex.EncodeToString(sum[:]), sum
}

func (c *s3client) sendPart(key int, upload string, number int, seed int64, size int) reply {
	return c.do("PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", keyName(key), number, upload), pieceBytes(seed, size))
}

func (c *s3client) abort(key int, upload string) reply {
	r := c.do("DELETE", keyName(key)+"?uploadId="+upload, nil)
	if !r.ok() && r.status != 404 {
		c.only5xx("abort upload", key, r)
	}
	return r
}

func (c *s3client) complete(key int, upload string, b *blob) reply {
	var doc strings.Builder
	doc.WriteString("<CompleteMultipartUpload>")
	for i := range b.seeds {
		etag, _ := partETag(b.seeds[i], b.sizes[i])
		fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, etag)
	}
	doc.WriteString("</CompleteMultipartUpload>")
	r := c.do("POST", keyName(key)+"?uploadId="+upload, []byte(doc.String()))
	if r.ok() && strings.Contains(string(r.body), "<Error>") { // found after the reply had begun
		r.status = 500
	}
	return r
}

// only5xx: these requests have no reason to be refused.
func (c *s3client) only5xx(what string, key int, r reply) {
	if !r.unknown() && r.status != -1 {
		c.w.violation("%s of %s: %v", what, keyName(key), r)
	}
}

// version reads or deletes one of the versions of a key that were acknowledged.
func (c *s3client) version(key int) {
	h := &c.w.site.s3
	id, version := h.someVersion(key, c.rnd.IntN(1<<20))
	if id == 0 {
		return
	}
	target := keyName(key) + "?versionId=" + version
	if c.rnd.IntN(3) == 0 {
		op := h.begin(s3op{key: key, kind: s3DeleteVersion, arg: id})
		c.wrote(op, 0, c.do("DELETE", target, nil), "delete version", key)
		return
	}
	op := h.begin(s3op{key: key, kind: s3GetVersion, arg: id})
	r := c.do("GET", target, nil)
	switch {
	case r.status == 404:
		h.done(op, 0, false)
	case r.ok():
		if got := c.verify(key, r, false); got != id {
			c.w.violation("version %s of %s is write %d, want %d", version, keyName(key), got, id)
		}
		h.done(op, id, false)
	default:
		h.void(op)
		c.only5xx("get version", key, r)
	}
}

// someVersion returns a write of a versioned key whose version id is known.
func (h *s3history) someVersion(key, n int) (id int64, version string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids []int64
	for i := range h.ops {
		if o := &h.ops[i]; o.key == key && h.versions[o.id] != "" {
			ids = append(ids, o.id)
		}
	}
	if len(ids) == 0 {
		return 0, ""
	}
	ids = ids[max(0, len(ids)-8):]
	id = ids[n%len(ids)]
	return id, h.versions[id]
}
