package objserver

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"ostor/fsbackend"
	"ostor/internal/cluster"
)

// TestDeleteDuringSweep stops a checkpoint's sweep right before its writes, deletes the objects that it is about to write, and fills their blocks again.
func TestDeleteDuringSweep(t *testing.T) {
	t.Parallel()
	fs := &gateFS{FS: newFS(t)}
	opts := testOptions(fs, &owner{generation: 1})
	noCheckpoints(&opts)
	opts.SmallBytes = 8 << 10
	s := openChecked(t, opts)
	var ids []cluster.ObjectID
	for i := range 16 {
		ids = append(ids, create(t, s, content(i, 4096)))
	}
	// A write of 16 blocks to the pool of 4 KiB blocks is the sweep's.
	entered, leave := make(chan struct{}), make(chan struct{})
	fs.onWrite.Store(func(name string, n int) {
		if bytes.Contains([]byte(name), []byte("pool-00.")) && n > headersOf16 {
			fs.onWrite.Store(func(string, int) {})
			close(entered)
			<-leave
		}
	})
	done := make(chan error, 1)
	go func() { done <- s.Checkpoint(context.Background()) }()
	<-entered
	if err := s.DeleteObjects(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().Pools.DeferredBlocks; got != 16 {
		t.Errorf("%d blocks are held back, want 16", got)
	}
	// 129 KiB objects take a block of 4 KiB each, written directly.
	var others []cluster.ObjectID
	for i := range 20 {
		others = append(others, create(t, s, content(100+i, 129<<10)))
	}
	close(leave)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, id := range others {
		wantBytes(t, s, id, content(100+i, 129<<10))
	}
	if got := s.Stats().Pools.DeferredBlocks; got != 0 {
		t.Errorf("%d blocks are still held back", got)
	}
}

const headersOf16 = 16 * 64

// gateFS tells of every write before it is done.
type gateFS struct {
	fsbackend.FS
	onWrite gateHook
}

type gateHook struct {
	mu sync.Mutex
	fn func(name string, n int)
}

func (h *gateHook) Store(fn func(string, int)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fn = fn
}

func (h *gateHook) call(name string, n int) {
	h.mu.Lock()
	fn := h.fn
	h.mu.Unlock()
	if fn != nil {
		fn(name, n)
	}
}

type gateFile struct {
	fsbackend.File
	fs *gateFS
}

func (f *gateFS) wrap(h fsbackend.File, err error) (fsbackend.File, error) {
	if err != nil {
		return nil, err
	}
	return &gateFile{h, f}, nil
}

func (f *gateFS) Create(name string) (fsbackend.File, error) { return f.wrap(f.FS.Create(name)) }
func (f *gateFS) Open(name string) (fsbackend.File, error)   { return f.wrap(f.FS.Open(name)) }

func (f *gateFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.onWrite.call(f.Name(), len(b))
	return f.File.WriteAt(b, off)
}
