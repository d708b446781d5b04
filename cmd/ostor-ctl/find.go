package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/fsbackend/redolog"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// inspector goes through paths.
type inspector struct {
	*report
	ctx      context.Context
	check    bool
	services map[string]*service // by absolute path
}

// file is one file to look at.
type file struct {
	abs        string
	name       string // last part
	svc        *service
	generation uint64 // of the directory; 0 = it lies in none
	fs         fsbackend.FS
	dir        string // of the service, within fs
	number     uint64 // of a segment or tree file
}

// base is the directory that names in fs are relative to, "" when every name is the file itself.
func (f *file) base() string {
	if f.svc == nil {
		return ""
	}
	return filepath.Dir(f.svc.abs)
}

// join is the absolute name of the file that a corruption names.
func join(base, abs, name string) string {
	if base == "" || name == "" {
		return abs
	}
	return filepath.Join(base, filepath.FromSlash(name))
}

// path inspects what a user named.
func (in *inspector) path(arg string) error {
	abs, err := filepath.Abs(arg)
	if err != nil {
		return err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return err
	}
	in.under = abs
	in.report.name = func(name string) string {
		if rest, ok := strings.CutPrefix(name, abs); ok {
			return strings.TrimSuffix(arg, "/") + rest
		}
		return name
	}
	return filepath.WalkDir(abs, func(p string, d fs.DirEntry, err error) error {
		if cerr := in.ctx.Err(); cerr != nil {
			return cerr
		}
		switch {
		case errors.Is(err, fs.ErrNotExist) && p != abs:
			in.note(p, 0, "gone meanwhile: the service is running")
			return nil
		case err != nil:
			return err
		case d.IsDir():
			if s := in.serviceAt(p); s != nil {
				in.begin(s)
			}
			return nil
		case d.Type()&fs.ModeSocket != 0:
			return nil
		case !d.Type().IsRegular():
			in.note(p, 0, "not a regular file: left alone")
			return nil
		}
		return in.file(p)
	})
}

// serviceAt returns the service whose directory p is, nil for another directory.
func (in *inspector) serviceAt(p string) *service {
	if s := in.services[p]; s != nil {
		return s
	}
	id, err := cluster.ParseID(filepath.Base(p))
	if err != nil || cluster.ServiceID(id).String() != filepath.Base(p) {
		return nil
	}
	if st, err := os.Stat(filepath.Join(p, fsbackend.GenDir)); err != nil || !st.IsDir() {
		return nil
	}
	osfs, err := fsbackend.NewOS(filepath.Dir(p))
	if err != nil {
		return nil
	}
	s := &service{abs: p, id: cluster.ServiceID(id), fs: osfs, dir: filepath.Base(p)}
	in.services[p] = s
	return s
}

// generationOf reads the name of a generation's directory, or the beginning of the name of a note in gen/.
func generationOf(name string) uint64 {
	g, err := strconv.ParseUint(name, 10, 64)
	if err != nil || fsbackend.GenerationName(g) != name {
		return 0
	}
	return g
}

// file inspects one regular file.
func (in *inspector) file(p string) error {
	in.files++
	in.lines = 0
	f := &file{abs: p, name: filepath.Base(p)}
	parent := filepath.Dir(p)
	switch {
	case filepath.Base(parent) == fsbackend.GenDir:
		f.svc = in.serviceAt(filepath.Dir(parent))
	case filepath.Base(filepath.Dir(parent)) == fsbackend.GenDir:
		if f.generation = generationOf(filepath.Base(parent)); f.generation > 0 {
			f.svc = in.serviceAt(filepath.Dir(filepath.Dir(parent)))
		}
	}
	if f.svc != nil {
		f.fs, f.dir = f.svc.fs, f.svc.dir
	} else {
		f.generation, f.fs, f.dir = 0, loneFS{path: p}, "lone"
	}
	err := in.dispatch(f)
	if errors.Is(err, fs.ErrNotExist) {
		in.note(p, 0, "gone meanwhile: the service is running")
		return nil
	}
	if err != nil && in.ctx.Err() == nil {
		in.failed(f.base(), p, "file", err)
		return nil
	}
	return err
}

// dispatch knows a file by its place and name and, where these say nothing, by its magic.
func (in *inspector) dispatch(f *file) error {
	inGen := filepath.Base(filepath.Dir(f.abs)) == fsbackend.GenDir
	note, suffix, _ := strings.Cut(f.name, ".")
	segment, isLog := redolog.ParseSegmentName(f.name)
	tree, isTree := btree.ParseFileName(f.name)
	up := filepath.Dir(f.abs)
	_, idErr := cluster.ParseID(filepath.Base(up))
	switch {
	case f.name == "cluster.key":
		in.line(f.abs, 0, "secret", field{"text", "the cluster key: not read"})
		return nil
	case isLog:
		f.number = segment
		return in.log(f)
	case isTree:
		f.number = uint64(tree)
		return in.tree(f)
	case f.name == btree.RootsName:
		return in.roots(f)
	case strings.HasPrefix(f.name, "pool-"):
		return in.pool(f)
	case f.name == fsbackend.ManifestName:
		return in.manifest(f)
	case f.name == fsbackend.OwnerName:
		return in.owner(f)
	case generationOf(note) > 0 && (suffix == "claim" || suffix == "release"):
		return in.claim(f, generationOf(note), suffix)
	case inGen && generationOf(note) > 0:
		in.line(f.abs, 0, "mark", field{"generation", generationOf(note)}, field{"what", suffix})
		return nil
	case f.generation > 0 && f.name == "reserve":
		return in.reserve(f)
	case idErr == nil && (f.name == "host" || f.name == "volume"):
		return in.id(f)
	case idErr == nil && strings.HasPrefix(f.name, "host."):
		in.note(f.abs, 0, "left from an unfinished replacement of the host file")
		return nil
	case idErr == nil && filepath.Base(filepath.Dir(up)) == "volumes":
		return in.volume(f)
	case idErr == nil && strings.HasPrefix(f.name, "boot-"):
		in.line(f.abs, 0, "boot", field{"host", filepath.Base(up)}, field{"name", f.name})
		return nil
	}
	return in.byMagic(f)
}

func (in *inspector) byMagic(f *file) error {
	b, err := readStart(f.abs, 32)
	if err != nil {
		return err
	}
	switch s := string(b); {
	case strings.HasPrefix(s, "ostorlog"):
		return in.log(f)
	case strings.HasPrefix(s, "OBT1"):
		return in.tree(f)
	case strings.HasPrefix(s, "OBR1"):
		return in.roots(f)
	case strings.HasPrefix(s, "ostorPOL"):
		return in.pool(f)
	case strings.HasPrefix(s, "ostormfs"):
		return in.manifest(f)
	case strings.HasPrefix(s, "OSTLEASE"):
		return in.claim(f, 0, "")
	case strings.HasPrefix(s, "ostor-owner"):
		return in.owner(f)
	case strings.HasPrefix(s, "OSTORVOL"):
		return in.volume(f)
	}
	in.note(f.abs, 0, "unknown file: neither its name nor its first bytes are ours")
	return nil
}

// readStart returns the first n bytes of a file, fewer when it is shorter.
func readStart(abs string, n int64) ([]byte, error) { return readPart(abs, 0, n) }

func readPart(abs string, off, n int64) ([]byte, error) {
	f, err := os.Open(abs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, n)
	k, err := f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:k], err
}

// loneFS shows one file under every name: a file that was copied out of its directory.
type loneFS struct {
	fsbackend.FS // nil: nothing else is called
	path         string
}

func (l loneFS) OpenRead(string) (fsbackend.File, error) {
	osfs, err := fsbackend.NewOS(filepath.Dir(l.path))
	if err != nil {
		return nil, err
	}
	return osfs.OpenRead(filepath.Base(l.path))
}

// maxSmallBytes bounds the files that are read whole.
const maxSmallBytes = 8 << 20

func readSmall(abs string) ([]byte, error) {
	b, err := readStart(abs, maxSmallBytes+1)
	if err == nil && len(b) > maxSmallBytes {
		err = fault.New(fault.Corrupt, "more than %d bytes", maxSmallBytes)
	}
	return b, err
}
