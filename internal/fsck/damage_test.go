package fsck

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"ostor/discovery"
	"ostor/fsbackend/btree"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/nameserver"
	"ostor/objserver"
	"ostor/pools"
)

// spot is one byte of a file that is damaged.
type spot struct {
	service cluster.ServiceID
	file    string
	off     int64
	at      int64 // what reports name: where the record, page or chunk begins
	what    string
}

// TestDamageAnywhere damages one byte in the middle of each kind of file: each page of the trees, a payload, a header and the system block of a pool file, a record of a log that is needed, a manifest, a root.
// Whatever it is: fsck names file and offset; no read returns wrong bytes; what the byte does not belong to is served, unless the service cannot know what it lost and refuses to start, saying
// where.
func TestDamageAnywhere(t *testing.T) {
	t.Parallel()
	const names = 480
	stopped, killed := newSiteOf(t, names, false), newSiteOf(t, names, true)
	for _, tc := range []struct {
		what    string
		of      *site
		refused int // services that may refuse to start: 0 or 1
		lost    int // names at most that are not served
		atLeast int // places that cost a name
	}{
		{"leaf", stopped, 1, names, 4}, // one that says which blocks are free, or which buckets are being deleted, cannot be done without: partly counts the others
		{"branch", stopped, 1, names, 1},
		{"map", stopped, 1, names, 0},
		{"directory", stopped, 1, names, 0},
		{"payload", stopped, 0, 1, 3},
		{"header", stopped, 0, 0, 0},
		{"system block", stopped, 0, 0, 0},
		{"manifest", stopped, 1, names, 1},
		{"root", stopped, 0, 0, 0},
		{"log record", killed, 1, names, 1},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			spots := (&site{T: t, fs: tc.of.fs, volume: tc.of.volume, orphan: tc.of.orphan}).spots(t, tc.what)
			if len(spots) == 0 {
				t.Fatalf("there is no %s to damage", tc.what)
			}
			hit, partly := 0, 0
			for i, x := range spots {
				if len(spots) > 10 && i%(len(spots)/5) != 0 {
					continue
				}
				st := &site{T: t, orphan: tc.of.orphan, fs: tc.of.fs.CrashClone(memfs.Everything), volume: tc.of.volume, last: maps.Clone(tc.of.last), released: maps.Clone(tc.of.released), links: tc.of.links}
				st.damage(x.file, x.off)
				lost, refused := st.readAll(x)
				if lost > tc.lost || refused > tc.refused {
					t.Errorf("%s+%d: %d names are lost and %d services refuse, want at most %d and %d", x.file, x.off, lost, refused, tc.lost, tc.refused)
				}
				if lost > 0 {
					hit++
				}
				if lost < names/2 && refused == 0 {
					partly++
				}
				if tc.what == "root" {
					continue // the other copy counts, and fsck has written newer ones
				}
				if lost == 0 && refused == 0 && tc.atLeast > 0 {
					continue // a page that nothing reaches
				}
				st.fs = tc.of.fs.CrashClone(memfs.Everything)
				st.last, st.released = maps.Clone(tc.of.last), maps.Clone(tc.of.released)
				st.damage(x.file, x.off)
				_, got := st.check(Options{Payloads: true})
				if all := strings.Join(got, "\n"); !strings.Contains(all, fmt.Sprintf("%s+%d", x.file, x.at)) && !(tc.what == "manifest" && strings.Contains(all, x.file)) {
					t.Errorf("fsck does not name %s+%d:\n%.2000s", x.file, x.at, all)
				} else if tc.what == "payload" && !strings.Contains(all, "object") {
					t.Errorf("fsck does not name the object:\n%.2000s", all)
				}
			}
			if hit < tc.atLeast {
				t.Errorf("of %d damaged places %d cost a name, want at least %d", len(spots), hit, tc.atLeast)
			}
			if tc.what == "leaf" && partly < 3 {
				t.Errorf("only %d of %d damaged leaves leave the rest alone", partly, len(spots))
			}
			t.Logf("%d places, %d of them cost names, with %d most of the names are served", len(spots), hit, partly)
		})
	}
}

func (st *site) damage(name string, off int64) {
	st.Helper()
	f, err := st.fs.Open(name)
	st.no(err)
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	st.no(err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b[:], off)
	st.no(errors.Join(err, f.Close()))
}

// spots finds the places of a kind.
func (st *site) spots(t *testing.T, what string) (list []spot) {
	t.Helper()
	for _, id := range append(st.volume.Objects(), st.volume.Names...) {
		root := discovery.ServiceDir(id) + "/gen"
		gens, err := st.fs.List(root)
		st.no(err)
		for _, g := range gens {
			files, err := st.fs.List(root + "/" + g)
			if err != nil {
				continue
			}
			var generation uint64
			_, err = fmt.Sscanf(g, "%d", &generation)
			st.no(err)
			for _, f := range files {
				list = append(list, st.spotsOf(t, what, spot{service: id, file: root + "/" + g + "/" + f, what: what}, f, generation)...)
			}
		}
	}
	return list
}

func (st *site) spotsOf(t *testing.T, what string, x spot, base string, generation uint64) (list []spot) {
	t.Helper()
	add := func(off, at int64) {
		x.off, x.at = off, at
		list = append(list, x)
	}
	number, isTree := btree.ParseFileName(base)
	switch {
	case isTree:
		st.no(btree.ScanFile(t.Context(), st.fs, discovery.ServiceDir(x.service), generation, number, func(p btree.PageInfo, _ []btree.PageEntry, err error) error {
			if p.Kind == what {
				add(p.ID.Offset()+40, p.ID.Offset())
			}
			return err
		}))
	case strings.HasPrefix(base, "pool-"):
		first := true
		sys, err := pools.Inspect(t.Context(), st.fs, x.file, false, func(in pools.Inspected) error { return in.Err })
		st.no(err)
		st.no(ignore(pools.Inspect(t.Context(), st.fs, x.file, false, func(in pools.Inspected) error {
			if !first || in.Header.Object == st.orphan.Object {
				return nil
			}
			first = false
			switch p, geo := sys.File.Pool, sys.Geometry; what {
			case "payload":
				add(geo.BlockOffset(p, in.Block)+int64(in.Header.Length)/2, geo.BlockOffset(p, in.Block))
			case "header":
				add(geo.HeaderOffset(p, in.Block)+20, geo.HeaderOffset(p, in.Block))
			case "system block":
				add(50, 0)
			}
			return nil
		})))
	case base == "manifest" && what == "manifest":
		add(60, 0)
	case base == "roots" && what == "root":
		for off := int64(0); off < 64<<10; off += 4096 {
			if h, err := st.fs.OpenRead(x.file); err == nil {
				var b [8]byte
				if _, err := h.ReadAt(b[:], off); err == nil && b != [8]byte{} {
					add(off+20, off)
				}
				_ = h.Close()
			}
		}
	case strings.HasPrefix(base, "log-") && what == "log record":
		h, err := st.fs.OpenRead(x.file)
		st.no(err)
		defer h.Close()
		size, err := h.Size()
		st.no(err)
		b := make([]byte, size)
		_, _ = h.ReadAt(b, 0)
		var at []int64
		for off := 4096; off+40 < len(b); off += 8 {
			if string(b[off:off+4]) == "oRL1" {
				at = append(at, int64(off))
			}
		}
		if len(at) > 10 {
			add(at[len(at)/2]+30, at[len(at)/2])
		}
	}
	return list
}

func ignore(_ pools.System, err error) error { return err }

// readAll starts the servers and reads every name. It returns how many of them were not served, each with an error that says damage, and how many servers refused to start.
func (st *site) readAll(x spot) (lost, refused int) {
	st.Helper()
	ctx := st.Context()
	refuse := func(err error) {
		c, ok := errors.AsType[*fault.Corruption](err)
		if !errors.Is(err, fault.Corrupt) || ok && c.File != x.file || !ok && !strings.Contains(err.Error(), x.file) {
			st.Errorf("%s+%d: a service does not start: %v", x.file, x.off, err)
		}
		refused++
	}
	id := st.volume.Objects()[0]
	o, err := st.own(ctx, id)
	st.no(err)
	opts := objectOptions()
	opts.FS, opts.Dir, opts.Owner, opts.ID, opts.JanitorEvery, opts.ScrubEvery = st.fs, discovery.ServiceDir(id), o, id, -1, -1
	os, err := objserver.Open(ctx, opts)
	if err != nil {
		refuse(err)
	} else {
		defer func() { _ = os.Close(ctx) }()
	}
	for i, id := range st.volume.Names {
		o, err := st.own(ctx, id)
		st.no(err)
		ns, err := nameserver.Open(ctx, nameserver.Options{FS: st.fs, Dir: discovery.ServiceDir(id), Owner: o, Objects: nobody{}})
		if err != nil {
			refuse(err)
		}
		for k := i; k < len(st.links); k += 2 {
			key := fmt.Sprintf("k%d", k)
			if ns == nil || os == nil {
				lost++
				continue
			}
			want := strings.Repeat(key, 3000)
			e, err := ns.Lookup(ctx, cluster.LookupRequest{Bucket: 1, Key: key})
			var got bytes.Buffer
			if err == nil {
				err = os.ReadObject(ctx, e.Content.Object, 0, e.Size, &got)
			}
			switch {
			case err == nil && got.String() == want:
			case errors.Is(err, fault.Corrupt) && strings.HasPrefix(want, got.String()):
				lost++
			default:
				st.Errorf("%s+%d: %s: %d bytes, %v", x.file, x.off, key, got.Len(), err)
			}
		}
		if ns != nil {
			st.no(ns.Close(ctx))
		}
	}
	return lost, refused
}
