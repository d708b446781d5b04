package objserver

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"ostor/pools"
)

// TestReadAhead reads ranges piece by piece and with pieces read ahead: the same bytes, and the buffers come back also when the client goes away.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	opts := testOptions(newFS(t), &owner{generation: 1})
	s := openChecked(t, opts)
	data := content(1, 9<<20+12345)
	id := create(t, s, data)
	size := int64(len(data))
	ranges := [][2]int64{{0, size}, {1, size - 1}, {pools.ChunkBytes - 1, 3 << 20}, {4<<20 + 77, 5 << 20}, {0, pieceBytes}, {pieceBytes - 1, pieceBytes + 2}, {size - 1, 1}}
	for name, slow := range map[string]time.Duration{"pieces": math.MaxInt64, "ahead": 0} {
		t.Run(name, func(t *testing.T) {
			s.slowPiece = slow
			budget := s.bufs.left.Load()
			for _, r := range ranges {
				before := s.Stats().Pools.Preads
				var got bytes.Buffer
				if err := s.ReadObject(t.Context(), id, r[0], r[1], &got); err != nil {
					t.Fatalf("read %v: %v", r, err)
				}
				if !bytes.Equal(got.Bytes(), data[r[0]:r[0]+r[1]]) {
					t.Errorf("range %v: wrong bytes", r)
				}
				preads := s.Stats().Pools.Preads - before
				if whole := r[1] == size; whole && slow == 0 && preads > 16 || whole && slow != 0 && preads < size/pieceBytes {
					t.Errorf("range %v took %d preads", r, preads)
				}
			}
			gone := errors.New("client is gone")
			for _, after := range []int{0, 1, 100 << 10, 4 << 20} {
				if err := s.ReadObject(t.Context(), id, 0, size, &failingWriter{after, gone}); !errors.Is(err, gone) {
					t.Errorf("client that leaves after %d bytes: %v", after, err)
				}
			}
			if left := s.bufs.left.Load(); left != budget {
				t.Errorf("%d buffers are left of %d", left, budget)
			}
		})
	}
}

// failingWriter takes some bytes and then fails.
type failingWriter struct {
	left int
	err  error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, w.err
	}
	w.left -= len(p)
	return len(p), nil
}
