// Package fsbackend is the mount: the few file operations that ostor needs, each with what it promises about durability.
//
// Everything that a service keeps lies in files of an [FS]. osfs.go implements it on a directory of the operating system (a cluster mount
// or a local directory), memfs in memory with crashes, faultfs wraps any of them and makes operations fail. The conformance suite
// fstest says in code what these comments say in words, and every implementation passes it.
//
// # Durability
//
// Nothing is durable because a write returned. File content is durable once Datasync or Sync on a descriptor of the file
// returned nil after the write; a new name, or the removal of one, is durable once SyncDir of its directory returned nil after it. A crash
// may keep any subset of the rest, torn at any multiple of 512 bytes. After an error of Datasync or Sync the state of
// what was written before is unknown: never retry it, close the file for good and recover by reading.
//
// # Other hosts
//
// Another mount of the same tree sees a new name as soon as its creation returned, and Create has exactly one winner over all
// mounts. It may see an overwrite late or never. So files are written by one owner, and what another host must learn is a new name.
//
// # Names
//
// A name is a slash-separated path below the root of the FS, without a leading slash, "." or ".." parts. "" is the root directory.
//
// # Errors
//
// Errors match fs.ErrNotExist, fs.ErrExist, syscall.ENOSPC (also fault.NoSpace), syscall.EIO and so on by errors.Is, whatever wraps them.
package fsbackend

// FS is a tree of files. Safe for concurrent use.
type FS interface {
	// Create makes a new file, readable and writable by its owner only (0600), and opens it for both. It returns fs.ErrExist when the
	// name is taken: of several callers on any number of mounts, one wins. The name is durable after SyncDir.
	Create(name string) (File, error)

	// Open opens an existing file for reading and writing. It returns fs.ErrNotExist when there is none.
	Open(name string) (File, error)

	// OpenRead opens an existing file for reading. Writes to it fail.
	OpenRead(name string) (File, error)

	// Rename replaces to by from, atomically for observers of this mount; another mount may see the old state for seconds, so it is used for host-local
	// files only. Durable after SyncDir of both directories.
	Rename(from, to string) error

	// Remove removes a file or an empty directory. Open descriptors of a removed file go on working on this mount.
	Remove(name string) error

	// MkdirAll makes a directory (0700) and its missing parents; it is no error when it exists. Durable after SyncDir of each parent.
	MkdirAll(name string) error

	// List returns the names (not paths) in a directory, sorted. A name whose creation returned before List began is in it.
	List(dir string) ([]string, error)

	// Stat returns size and kind of a file or directory. It does not follow symbolic links.
	Stat(name string) (Info, error)

	// SyncDir makes creations, renames and removals in a directory durable.
	SyncDir(dir string) error
}

// Info describes a file or directory.
type Info struct {
	Size  int64 // bytes; 0 for directories
	Dir   bool
	Link  bool  // a symbolic link: never followed inside our directories
	Alloc int64 // bytes that the file occupies, as far as the file system tells
}

// File is an open file. Safe for concurrent use; ReadAt and WriteAt at disjoint ranges do not disturb each other.
type File interface {
	// Name returns the name the file was opened by, for messages.
	Name() string

	// ReadAt follows io.ReaderAt: n < len(p) only with an error, io.EOF at the end of the file.
	ReadAt(p []byte, off int64) (n int, err error)

	// WriteAt follows io.WriterAt, and extends the file where it ends before off+len(p). After an error any part of the range may
	// have been written.
	WriteAt(p []byte, off int64) (n int, err error)

	// Datasync makes all content written before the call durable, with the file's size (fdatasync(2)). One call may serve several writers.
	Datasync() error

	// Sync is Datasync and the file's other attributes (fsync(2)).
	Sync() error

	// Size returns the file's length in bytes.
	Size() (int64, error)

	// Truncate sets the file's length. Durable after Sync.
	Truncate(size int64) error

	// Allocate reserves space for [off, off+length) and extends the file to it; what it adds reads as zeroes. It returns fault.NotSupported where the
	// mount cannot: then write zeroes.
	Allocate(off, length int64) error

	// PunchHole gives the space of [off, off+length) back; it then reads as zeroes. It returns fault.NotSupported where the mount cannot.
	PunchHole(off, length int64) error

	// Lock takes the exclusive advisory lock of the whole file without waiting, for this open file. It returns fault.Exists when another open
	// file holds it. The lock ends with Close or with the process. On a cluster mount it may reach this host only: it is never the proof of ownership.
	Lock() error

	// Close closes the file. It makes nothing durable.
	Close() error
}
