package fsbackend

import "sync/atomic"

// Counters count the operations that went through an FS of [Count], for metrics and tests. Read them with Load at any time.
type Counters struct {
	Reads        atomic.Int64 // calls of ReadAt
	Writes       atomic.Int64 // calls of WriteAt
	Datasyncs    atomic.Int64 // calls of Datasync
	Syncs        atomic.Int64 // calls of File.Sync
	DirSyncs     atomic.Int64 // calls of SyncDir
	ReadBytes    atomic.Int64 // bytes that ReadAt returned
	WrittenBytes atomic.Int64 // bytes that WriteAt took
	Opens        atomic.Int64 // files created or opened
	Errors       atomic.Int64 // failed WriteAt, Datasync, Sync and SyncDir
}

// Count returns fs with every operation counted. It costs an atomic addition or two per operation.
func Count(fs FS) (FS, *Counters) {
	c := new(Counters)
	return &countFS{FS: fs, c: c}, c
}

type countFS struct {
	FS
	c *Counters
}

func (f *countFS) Create(name string) (File, error)   { return f.file(f.FS.Create(name)) }
func (f *countFS) Open(name string) (File, error)     { return f.file(f.FS.Open(name)) }
func (f *countFS) OpenRead(name string) (File, error) { return f.file(f.FS.OpenRead(name)) }

func (f *countFS) file(file File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	f.c.Opens.Add(1)
	return &countFile{File: file, c: f.c}, nil
}

func (f *countFS) SyncDir(dir string) error {
	f.c.DirSyncs.Add(1)
	return f.c.failed(f.FS.SyncDir(dir))
}

func (c *Counters) failed(err error) error {
	if err != nil {
		c.Errors.Add(1)
	}
	return err
}

type countFile struct {
	File
	c *Counters
}

func (f *countFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.c.Reads.Add(1)
	f.c.ReadBytes.Add(int64(n))
	return n, err
}

func (f *countFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	f.c.Writes.Add(1)
	f.c.WrittenBytes.Add(int64(n))
	return n, f.c.failed(err)
}

func (f *countFile) writeDirectAt(p []byte, off int64) (int, error) {
	n, err := WriteDirectAt(f.File, p, off)
	f.c.Writes.Add(1)
	f.c.WrittenBytes.Add(int64(n))
	return n, f.c.failed(err)
}

func (f *countFile) Datasync() error {
	f.c.Datasyncs.Add(1)
	return f.c.failed(f.File.Datasync())
}

func (f *countFile) Sync() error {
	f.c.Syncs.Add(1)
	return f.c.failed(f.File.Sync())
}
