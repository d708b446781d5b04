package btree

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

const writeBytes = 1 << 20 // longest write

// output writes the pages of one run of Apply, neighbours together in one long write.
type output struct {
	a       *applier
	start   PageID    // of the first page in Tree.writeBuf
	written []fileKey // files with writes, each once
}

func (o *output) init(a *applier) {
	o.a = a
	if cap(a.t.writeBuf) == 0 {
		a.t.writeBuf = make([]byte, 0, writeBytes)
	}
}

// write takes a page; it is in its file after flush. buf is not kept.
func (o *output) write(id PageID, buf []byte) error {
	t := o.a.t
	if n := len(t.writeBuf); n > 0 && (n+len(buf) > cap(t.writeBuf) || id != o.start+PageID(n/PageBytes)) {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if len(t.writeBuf) == 0 {
		o.start = id
	}
	t.writeBuf = append(t.writeBuf, buf...)
	t.written.Add(1)
	return nil
}

// flush writes what write has gathered.
func (o *output) flush() error {
	t := o.a.t
	if len(t.writeBuf) == 0 {
		return nil
	}
	k := o.start.file()
	f, err := t.pager.file(k)
	if err != nil {
		return err
	}
	if !slices.Contains(o.written, k) {
		o.written = append(o.written, k)
	}
	_, err = f.WriteAt(t.writeBuf, o.start.Offset())
	t.writeBuf = t.writeBuf[:0]
	if err != nil {
		return fmt.Errorf("write pages at %v: %w", o.start, err)
	}
	return nil
}

// newFile begins a tree file in the home generation. A file that a crash left under the name holds nothing that counts and is taken over.
func (o *output) newFile() error {
	t := o.a.t
	if t.space.next > maxFileNumber {
		return fault.New(fault.NoSpace, "no file number is left")
	}
	k := makeFileKey(t.opts.Home, t.space.next)
	name := k.name(t.opts.Dir)
	f, err := t.opts.FS.Create(name)
	if errors.Is(err, fs.ErrExist) {
		f, err = t.opts.FS.Open(name)
	}
	if err != nil {
		return fmt.Errorf("create tree file: %w", err)
	}
	t.pager.add(k, f)
	t.space.addFile(k)
	t.fileN.Store(int64(len(t.space.files)))
	t.unsynced = true // also for a later attempt, when this one ends before it syncs
	return nil
}

// sync makes all that was written durable. An error is for good.
func (o *output) sync() error {
	if err := o.flush(); err != nil {
		return err
	}
	t := o.a.t
	for _, k := range o.written {
		f, err := t.pager.file(k)
		if err != nil {
			return err
		}
		if err := f.Datasync(); err != nil {
			o.a.fatal = true
			return fmt.Errorf("sync %s: %w", k.name(t.opts.Dir), err)
		}
	}
	if t.unsynced {
		gen := fsbackend.GenerationDir(t.opts.Dir, t.opts.Home)
		if err := t.opts.FS.SyncDir(gen); err != nil {
			o.a.fatal = true
			return fmt.Errorf("sync %s: %w", gen, err)
		}
		t.unsynced = false
	}
	return nil
}
