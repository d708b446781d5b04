package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"

	"ostor/gateway/s3"
)

// chain verifies the signatures of chunks, each over the one before; the request's own is the first.
type chain struct {
	key   [sha256.Size]byte
	scope string // "\n<time>\n<scope>\n"
	last  [sha256.Size]byte
	buf   []byte
}

var _ s3.ChunkVerifier = (*chain)(nil)

func newChain(key [sha256.Size]byte, a *authorization) *chain {
	b := make([]byte, 0, 96)
	b = append(b, '\n')
	b = append(b, a.time...)
	b = append(b, '\n')
	b = a.appendScope(b)
	b = append(b, '\n')
	return &chain{key: key, scope: string(b), last: a.signature, buf: make([]byte, 0, 320)}
}

// emptySHA256 stands for the headers that a chunk could have and has not.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// VerifyChunk checks the next chunk.
func (c *chain) VerifyChunk(sum *[sha256.Size]byte, signature []byte) bool {
	c.begin(Algorithm + "-PAYLOAD")
	c.buf = append(c.buf, emptySHA256+"\n"...)
	return c.verify(sum, signature)
}

// VerifyTrailer checks the trailer.
func (c *chain) VerifyTrailer(sum *[sha256.Size]byte, signature []byte) bool {
	c.begin(Algorithm + "-TRAILER")
	return c.verify(sum, signature)
}

func (c *chain) begin(algorithm string) {
	c.buf = append(c.buf[:0], algorithm...)
	c.buf = append(c.buf, c.scope...)
	c.buf = hex.AppendEncode(c.buf, c.last[:])
	c.buf = append(c.buf, '\n')
}

func (c *chain) verify(sum *[sha256.Size]byte, signature []byte) bool {
	c.buf = hex.AppendEncode(c.buf, sum[:])
	hmacSHA256(&c.last, c.key[:], c.buf)
	var want [2 * sha256.Size]byte
	hex.Encode(want[:], c.last[:])
	return subtle.ConstantTimeCompare(want[:], signature) == 1
}
