package objserver

import (
	"sync"
	"sync/atomic"

	"ostor/fsbackend"
	"ostor/pools"
)

const (
	bigBuffer   = 1 << 20
	smallBuffer = pools.ChunkBytes
)

// buffers hands out buffers for payloads: of 1 MiB while the budget lasts, else of 64 KiB, so that nobody waits for another's slow client.
type buffers struct {
	left       atomic.Int64 // big buffers that may still be taken
	big, small sync.Pool
}

func newBuffers(budget int64) *buffers {
	b := &buffers{}
	b.left.Store(max(1, budget/bigBuffer))
	b.big.New = func() any { p := fsbackend.AlignedBuffer(bigBuffer); return &p } // aligned: see fsbackend.WriteDirectAt
	b.small.New = func() any { p := make([]byte, smallBuffer); return &p }
	return b
}

// get returns a buffer for up to n bytes. It may be shorter than n, but not than min(n, 64 KiB).
func (b *buffers) get(n int64) *[]byte {
	if n > smallBuffer {
		if p := b.tryBig(); p != nil {
			return p
		}
	}
	return b.small.Get().(*[]byte)
}

// tryBig returns a buffer of 1 MiB, nil when the budget is used up.
func (b *buffers) tryBig() *[]byte {
	if b.left.Add(-1) < 0 {
		b.left.Add(1)
		return nil
	}
	return b.big.Get().(*[]byte)
}

func (b *buffers) put(p *[]byte) {
	if len(*p) == smallBuffer {
		b.small.Put(p)
		return
	}
	b.big.Put(p)
	b.left.Add(1)
}
