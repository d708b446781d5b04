package clustertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"

	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// RunObjectServer tests an implementation of cluster.ObjectServer against its contract. open returns a server that is empty; its files and connections are the caller's
// to clean up (t.Cleanup). With short tests nothing above a few MiB is stored.
func RunObjectServer(t *testing.T, open func(t *testing.T) cluster.ObjectServer) {
	tests := []struct {
		name string
		run  func(*objectSuite)
	}{
		{"Sizes", (*objectSuite).sizes},
		{"Ranges", (*objectSuite).ranges},
		{"BadRanges", (*objectSuite).badRanges},
		{"BadCreates", (*objectSuite).badCreates},
		{"BodyErrors", (*objectSuite).bodyErrors},
		{"SlowBody", (*objectSuite).slowBody},
		{"Exists", (*objectSuite).exists},
		{"NotFound", (*objectSuite).notFound},
		{"Delete", (*objectSuite).deletes},
		{"DeleteMany", (*objectSuite).deleteMany},
		{"WriterErrors", (*objectSuite).writerErrors},
		{"Cancelled", (*objectSuite).cancelled},
		{"Pieces", (*objectSuite).pieces},
		{"SameIDAtOnce", (*objectSuite).sameIDAtOnce},
		{"DeleteDuringRead", (*objectSuite).deleteDuringRead},
		{"Concurrent", (*objectSuite).concurrent},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			tc.run(&objectSuite{t, open(t)})
		})
	}
}

type objectSuite struct {
	*testing.T
	os cluster.ObjectServer
}

// content is what object n consists of: bytes that differ between objects and between places.
func content(n, size int) []byte {
	b := make([]byte, size)
	x := uint64(n)*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 24)
	}
	return b
}

func (s *objectSuite) create(data []byte) cluster.ObjectID {
	s.Helper()
	id := cluster.NewObjectID()
	info, err := s.os.CreateObject(s.Context(), id, int64(len(data)), bytes.NewReader(data))
	if err != nil {
		s.Fatalf("create %d bytes: %v", len(data), err)
	}
	if want := (cluster.ObjectInfo{Size: int64(len(data)), CRC32C: checksum.CRC32C(data)}); info != want {
		s.Fatalf("create %d bytes: got %+v, want %+v", len(data), info, want)
	}
	return id
}

func (s *objectSuite) read(id cluster.ObjectID, offset, length int64) ([]byte, error) {
	var b bytes.Buffer
	err := s.os.ReadObject(s.Context(), id, offset, length, &b)
	return b.Bytes(), err
}

func (s *objectSuite) wantBytes(id cluster.ObjectID, offset int64, want []byte) {
	s.Helper()
	got, err := s.read(id, offset, int64(len(want)))
	if err != nil || !bytes.Equal(got, want) {
		s.Fatalf("read %d bytes at %d: got %d bytes, equal %v, %v", len(want), offset, len(got), bytes.Equal(got, want), err)
	}
}

// wantGone asserts that an object is not there, and that its id can be used: a failed create left nothing.
func (s *objectSuite) wantGone(id cluster.ObjectID) {
	s.Helper()
	if _, err := s.os.StatObject(s.Context(), id); !errors.Is(err, fault.NotFound) {
		s.Errorf("stat: got %v, want not found", err)
	}
	if b, err := s.read(id, 0, 1); !errors.Is(err, fault.NotFound) || len(b) > 0 {
		s.Errorf("read: got %d bytes, %v, want not found", len(b), err)
	}
}

func (s *objectSuite) sizes() {
	const k = 1 << 10
	sizes := []int{1, 2, 511, 4095, 4096, 4097, 8 * k, 30 * k, 60 * k, 64*k - 1, 64 * k, 64*k + 1, 100 * k, 128 * k, 128*k + 1, 129 * k, 1024*k - 1, 1024 * k, 1024*k + 1, 5 << 20}
	if !testing.Short() {
		sizes = append(sizes, 8<<20, 8<<20+1, 21<<20+1)
	}
	ids := make([]cluster.ObjectID, len(sizes))
	for i, size := range sizes {
		ids[i] = s.create(content(i, size))
	}
	for i, size := range sizes {
		want := content(i, size)
		s.wantBytes(ids[i], 0, want)
		info, err := s.os.StatObject(s.Context(), ids[i])
		if err != nil || info.Size != int64(size) || info.CRC32C != checksum.CRC32C(want) {
			s.Errorf("stat of %d bytes: %+v, %v", size, info, err)
		}
	}
}

func (s *objectSuite) ranges() {
	for i, size := range []int{5000, 200_000, 9<<20 + 12345} {
		data := content(i, size)
		id := s.create(data)
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		edges := []int{0, 1, 4095, 4096, 65535, 65536, 65537, 131072, 1 << 20, 8 << 20, 8<<20 + 1, size - 1}
		for _, from := range edges {
			for _, n := range []int{1, 2, 4096, 65536, 65537, 1<<20 + 1, size} {
				if from < size {
					s.wantBytes(id, int64(from), data[from:min(from+n, size)])
				}
			}
		}
		for range 60 {
			from := rng.IntN(size)
			s.wantBytes(id, int64(from), data[from:from+1+rng.IntN(size-from)])
		}
	}
}

func (s *objectSuite) badRanges() {
	for _, size := range []int64{1, 5000, 300_000} {
		id := s.create(content(1, int(size)))
		bad := [][2]int64{{-1, 1}, {0, 0}, {0, -1}, {0, size + 1}, {size, 1}, {size - 1, 2}, {1, 1<<63 - 1}, {1<<63 - 1, 1}, {1<<63 - 1, 1<<63 - 1}, {-1 << 63, 1<<63 - 1}}
		for _, r := range bad {
			if b, err := s.read(id, r[0], r[1]); !errors.Is(err, fault.Invalid) || len(b) > 0 {
				s.Errorf("range %v of %d bytes: got %d bytes, %v, want invalid", r, size, len(b), err)
			}
		}
	}
}

func (s *objectSuite) badCreates() {
	for _, size := range []int64{0, -1, cluster.MaxPutBytes + 1, 1<<63 - 1, -1 << 63} {
		id := cluster.NewObjectID()
		if _, err := s.os.CreateObject(s.Context(), id, size, bytes.NewReader(nil)); !errors.Is(err, fault.Invalid) {
			s.Errorf("size %d: got %v, want invalid", size, err)
		}
		s.wantGone(id)
	}
	if _, err := s.os.CreateObject(s.Context(), cluster.ObjectID{}, 1, bytes.NewReader([]byte{1})); !errors.Is(err, fault.Invalid) {
		s.Errorf("zero id: got %v, want invalid", err)
	}
}

var errBody = errors.New("the client went away")

func (s *objectSuite) bodyErrors() {
	for _, size := range []int{1, 4096, 70_000, 3 << 20} {
		data := content(size, size)
		tests := []struct {
			name string
			body io.Reader
			want error
		}{
			{"empty", bytes.NewReader(nil), fault.Truncated},
			{"one short", bytes.NewReader(data[:size-1]), fault.Truncated},
			{"half", bytes.NewReader(data[:size/2]), fault.Truncated},
			{"one more", bytes.NewReader(append(data[:size:size], 1)), fault.Invalid},
			{"error at once", iotest.ErrReader(errBody), nil},
			{"error near the end", io.MultiReader(bytes.NewReader(data[:size-1]), iotest.ErrReader(errBody)), nil},
			{"error instead of the end", io.MultiReader(bytes.NewReader(data), iotest.ErrReader(errBody)), nil},
		}
		for _, tc := range tests {
			id := cluster.NewObjectID()
			_, err := s.os.CreateObject(s.Context(), id, int64(size), tc.body)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				s.Errorf("%d bytes, %s: got %v, want %v", size, tc.name, err, tc.want)
			}
			s.wantGone(id)
			if _, err := s.os.CreateObject(s.Context(), id, int64(size), bytes.NewReader(data)); err != nil {
				s.Errorf("%d bytes, %s: the id cannot be used after a failed create: %v", size, tc.name, err)
			}
			s.wantBytes(id, 0, data)
		}
	}
}

func (s *objectSuite) slowBody() {
	for _, size := range []int{1, 5000, 200_000} {
		data := content(size, size)
		for name, body := range map[string]io.Reader{
			"one byte":   iotest.OneByteReader(bytes.NewReader(data)),
			"half":       iotest.HalfReader(bytes.NewReader(data)),
			"data error": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			id := cluster.NewObjectID()
			if _, err := s.os.CreateObject(s.Context(), id, int64(size), body); err != nil {
				s.Fatalf("%s: %v", name, err)
			}
			s.wantBytes(id, 0, data)
		}
	}
}

func (s *objectSuite) exists() {
	for _, size := range []int{100, 100_000} {
		data := content(size, size)
		id := s.create(data)
		for _, again := range []int{50, 100_001} {
			if _, err := s.os.CreateObject(s.Context(), id, int64(again), bytes.NewReader(content(9, again))); !errors.Is(err, fault.Exists) {
				s.Errorf("create again with %d bytes: got %v, want exists", again, err)
			}
		}
		s.wantBytes(id, 0, data)
	}
}

func (s *objectSuite) notFound() { s.wantGone(cluster.NewObjectID()) }

func (s *objectSuite) deletes() {
	for _, size := range []int{100, 300_000} {
		a, b := s.create(content(1, size)), s.create(content(2, size))
		for range 2 { // may be repeated
			if err := s.os.DeleteObjects(s.Context(), []cluster.ObjectID{a, cluster.NewObjectID(), a}); err != nil {
				s.Fatal(err)
			}
			s.wantGone(a)
			s.wantBytes(b, 0, content(2, size))
		}
	}
	if err := s.os.DeleteObjects(s.Context(), nil); err != nil {
		s.Errorf("delete nothing: %v", err)
	}
}

func (s *objectSuite) deleteMany() {
	const n = 700
	var ids, kept []cluster.ObjectID
	for i := range n {
		id := s.create(content(i, 1+i*13%6000))
		if i%7 == 0 {
			kept = append(kept, id)
		} else {
			ids = append(ids, id)
		}
	}
	if err := s.os.DeleteObjects(s.Context(), ids); err != nil {
		s.Fatal(err)
	}
	for _, id := range ids {
		s.wantGone(id)
	}
	for i, id := range kept {
		s.wantBytes(id, 0, content(i*7, 1+i*7*13%6000))
	}
}

// failWriter takes some bytes and then fails.
type failWriter struct {
	left int
	err  error
}

func (w *failWriter) Write(b []byte) (int, error) {
	if len(b) > w.left {
		return w.left, w.err
	}
	w.left -= len(b)
	return len(b), nil
}

func (s *objectSuite) writerErrors() {
	errGone := errors.New("reader is gone")
	for _, size := range []int{1000, 3 << 20} {
		id := s.create(content(3, size))
		for _, after := range []int{0, size / 2} {
			if err := s.os.ReadObject(s.Context(), id, 0, int64(size), &failWriter{after, errGone}); !errors.Is(err, errGone) {
				s.Errorf("%d bytes, fails after %d: got %v, want the writer's error", size, after, err)
			}
		}
		s.wantBytes(id, 0, content(3, size))
	}
}

func (s *objectSuite) cancelled() {
	id := s.create(content(3, 1000))
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	other := cluster.NewObjectID()
	_, err1 := s.os.CreateObject(ctx, other, 3<<20, bytes.NewReader(content(1, 3<<20)))
	err2 := s.os.ReadObject(ctx, id, 0, 1000, io.Discard)
	_, err3 := s.os.StatObject(ctx, id)
	for i, err := range []error{err1, err2, err3} {
		if fault.KindOf(err) != fault.Unavailable {
			s.Errorf("call %d with a cancelled context: got %v", i, err)
		}
	}
	s.wantBytes(id, 0, content(3, 1000))
}

// pieceWriter asserts the bound of one write.
type pieceWriter struct {
	t   *testing.T
	got int64
}

func (w *pieceWriter) Write(b []byte) (int, error) {
	if len(b) == 0 || len(b) > 1<<20 {
		w.t.Errorf("a piece of %d bytes", len(b))
	}
	w.got += int64(len(b))
	return len(b), nil
}

func (s *objectSuite) pieces() {
	const size = 9<<20 + 5
	id := s.create(content(1, size))
	for _, r := range [][2]int64{{0, size}, {3, size - 3}, {70_000, 2<<20 + 1}} {
		w := &pieceWriter{t: s.T}
		if err := s.os.ReadObject(s.Context(), id, r[0], r[1], w); err != nil || w.got != r[1] {
			s.Errorf("range %v: %d bytes, %v", r, w.got, err)
		}
	}
}

func (s *objectSuite) sameIDAtOnce() {
	for _, size := range []int{500, 200_000} {
		const n = 8
		id := cluster.NewObjectID()
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				_, errs[i] = s.os.CreateObject(s.Context(), id, int64(size), bytes.NewReader(content(i, size)))
			})
		}
		wg.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner < 0:
				winner = i
			case err == nil:
				s.Errorf("creates %d and %d both succeeded", winner, i)
			case !errors.Is(err, fault.Exists):
				s.Errorf("create %d: %v", i, err)
			}
		}
		if winner < 0 {
			s.Fatal("no create succeeded")
		}
		s.wantBytes(id, 0, content(winner, size))
	}
}

// gateWriter stops at the first write until it is let go.
type gateWriter struct {
	bytes.Buffer
	entered, leave chan struct{}
	once           sync.Once
}

func (w *gateWriter) Write(b []byte) (int, error) {
	w.once.Do(func() { close(w.entered); <-w.leave })
	return w.Buffer.Write(b)
}

// deleteDuringRead deletes an object while a read of it is under way, and gives its space every chance to be used by others: the read goes on with the right bytes.
func (s *objectSuite) deleteDuringRead() {
	const size = 9 << 20
	data := content(77, size)
	id := s.create(data)
	w := &gateWriter{entered: make(chan struct{}), leave: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- s.os.ReadObject(s.Context(), id, 0, size, w) }()
	<-w.entered
	if err := s.os.DeleteObjects(s.Context(), []cluster.ObjectID{id}); err != nil {
		s.Fatal(err)
	}
	s.wantGone(id)
	for i := range 4 {
		s.create(content(100+i, size))
	}
	close(w.leave)
	if err := <-done; err != nil || !bytes.Equal(w.Bytes(), data) {
		s.Errorf("got %d bytes, equal %v, %v", w.Len(), bytes.Equal(w.Bytes(), data), err)
	}
}

func (s *objectSuite) concurrent() {
	const workers, rounds = 8, 40
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { errs <- s.worker(w, rounds) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			s.Error(err)
		}
	}
}

func (s *objectSuite) worker(w, rounds int) error {
	rng := rand.New(rand.NewPCG(uint64(w), 7))
	type object struct {
		id   cluster.ObjectID
		seed int
		size int
	}
	var mine []object
	for i := range rounds {
		o := object{cluster.NewObjectID(), w*1000 + i, 1 + rng.IntN(1<<(1+rng.IntN(19)))}
		if _, err := s.os.CreateObject(s.Context(), o.id, int64(o.size), bytes.NewReader(content(o.seed, o.size))); err != nil {
			return err
		}
		mine = append(mine, o)
		k := rng.IntN(len(mine))
		o = mine[k]
		from := rng.IntN(o.size)
		n := 1 + rng.IntN(o.size-from)
		got, err := s.read(o.id, int64(from), int64(n))
		if err != nil || !bytes.Equal(got, content(o.seed, o.size)[from:from+n]) {
			return fmt.Errorf("worker %d: read of object %d at %d: %d bytes of %d, %w", w, o.seed, from, len(got), n, err)
		}
		if rng.IntN(3) == 0 {
			if err := s.os.DeleteObjects(s.Context(), []cluster.ObjectID{o.id}); err != nil {
				return err
			}
			mine = append(mine[:k], mine[k+1:]...)
		}
	}
	return nil
}
