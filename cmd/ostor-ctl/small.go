package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/fsbackend/lease"
	"ostor/fsbackend/redolog"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
)

// manifest of a generation.
func (in *inspector) manifest(f *file) error {
	b, err := readSmall(f.abs)
	if err != nil {
		return err
	}
	m, err := store.DecodeManifest(b)
	if err == nil && f.generation > 0 && m.Generation != f.generation {
		err = fmt.Errorf("generation %d, want %d", m.Generation, f.generation)
	}
	if err != nil {
		if f.svc != nil && !served(filepath.Dir(f.abs)) {
			in.note(f.abs, 0, "torn: its generation made no other file, so it does not count: "+err.Error())
			return nil
		}
		in.damage(f.abs, 0, "manifest", "a valid one", err.Error())
		return nil
	}
	in.items++
	in.line(f.abs, 0, "manifest", field{"generation", m.Generation}, field{"home", m.Home}, field{"first_lsn", m.First}, field{"base", rootText(m.Base)}, field{"sealed", len(m.Sealed)})
	for i := range m.Sealed {
		s := &m.Sealed[i]
		in.line(f.abs, 0, "sealed", field{"segment", fsbackend.GenerationName(s.Header.Home) + "/" + redolog.SegmentName(s.Number)}, field{"sequence", s.Header.Sequence},
			field{"generation", s.Header.Generation}, field{"first_lsn", s.Header.First}, field{"last_lsn", s.Last}, field{"bytes", s.End}, crcField(s.CRC))
	}
	return nil
}

// served says whether a generation's directory has files that only follow its manifest.
func served(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return true
	}
	for _, e := range entries {
		if n := e.Name(); n == btree.RootsName || strings.HasPrefix(n, "log-") || strings.HasPrefix(n, "tree-") || strings.HasPrefix(n, "pool-") {
			return true
		}
	}
	return false
}

func crcField(crc uint32) field { return field{"crc", fmt.Sprintf("%08x", crc)} }

func rootText(r btree.Root) string {
	if r.IsZero() {
		return "empty"
	}
	return fmt.Sprintf("generation %d tx %d lsn %d page %v directory %v height %d entries %d pages %d", r.Generation, r.TxID, r.LSN, r.Page, r.Directory, r.Height, r.Entries, r.Pages)
}

const (
	ringSlots = 8
	slotBytes = 4096
	copyBytes = 2048
)

// roots is a ring of roots. Both copies in a slot are verified: a reader needs one.
func (in *inspector) roots(f *file) error {
	b, err := readSmall(f.abs)
	if err != nil {
		return err
	}
	if len(b) != ringSlots*slotBytes {
		in.damage(f.abs, int64(len(b)), "ring of roots", fmt.Sprintf("%d bytes", ringSlots*slotBytes), fmt.Sprintf("%d bytes", len(b)))
	}
	for off := 0; off+btree.RootBytes <= len(b); off += copyBytes {
		p := b[off : off+btree.RootBytes]
		if zero(p) {
			continue
		}
		slot := off / slotBytes
		root, err := btree.DecodeRoot(p)
		switch {
		case err != nil:
			in.damage(f.abs, int64(off), "root", "a valid root", err.Error())
			continue
		case f.generation > 0 && root.Generation != f.generation:
			in.damage(f.abs, int64(off), "root", fmt.Sprintf("generation %d", f.generation), fmt.Sprint(root.Generation))
			continue
		case uint64(root.TxID)%ringSlots != uint64(slot):
			in.damage(f.abs, int64(off), "root", fmt.Sprintf("a transaction of slot %d", slot), fmt.Sprintf("transaction %d", root.TxID))
			continue
		}
		in.items++
		in.line(f.abs, int64(off), "root", field{"slot", slot}, field{"copy", off % slotBytes / copyBytes}, field{"generation", root.Generation}, field{"tx", uint64(root.TxID)},
			field{"lsn", root.LSN}, field{"page", root.Page.String()}, field{"directory", root.Directory.String()}, field{"height", root.Height}, field{"entries", root.Entries},
			field{"pages", root.Pages})
	}
	return nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// claim is a claim or a release note; generation 0 = not known from its name.
func (in *inspector) claim(f *file, generation uint64, kind string) error {
	b, err := readSmall(f.abs)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		in.note(f.abs, 0, "empty: being written, or its writer died: the generation is taken all the same")
		return nil
	}
	n, err := lease.DecodeNote(b)
	switch {
	case err != nil:
		in.damage(f.abs, 0, "lease record", "a claim or release", err.Error())
		return nil
	case generation > 0 && (n.Generation != generation || n.Kind != kind):
		in.damage(f.abs, 0, "lease record", fmt.Sprintf("%s of generation %d", kind, generation), fmt.Sprintf("%s of generation %d", n.Kind, n.Generation))
		return nil
	case f.svc != nil && n.Service != uint64(f.svc.id):
		in.damage(f.abs, 0, "lease record", "service "+f.svc.id.String(), "service "+cluster.ServiceID(n.Service).String())
		return nil
	}
	in.items++
	in.line(f.abs, 0, n.Kind, field{"service", cluster.ServiceID(n.Service).String()}, field{"generation", n.Generation}, field{"host", cluster.HostID(n.Host).String()}, field{"boot", n.Boot},
		field{"nonce", n.Nonce}, field{"n", n.N.String()}, field{"wall", n.Wall.Format(time.RFC3339)}, field{"info", n.Info})
	return nil
}

func (in *inspector) owner(f *file) error {
	b, err := readSmall(f.abs)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		in.note(f.abs, 0, "empty: being written, or its writer died")
		return nil
	}
	o, err := discovery.DecodeOwner(b)
	switch {
	case err != nil:
		in.damage(f.abs, 0, "owner record", "a valid record", err.Error())
		return nil
	case f.svc != nil && (o.Service != f.svc.id || uint64(o.Generation) != f.generation):
		in.damage(f.abs, 0, "owner record", fmt.Sprintf("service %s generation %d", f.svc.id, f.generation), fmt.Sprintf("service %s generation %s", o.Service, o.Generation))
		return nil
	}
	in.items++
	in.line(f.abs, 0, "owner", field{"service", o.Service.String()}, field{"host", o.Host.String()}, field{"generation", uint64(o.Generation)}, field{"addresses", o.Addresses})
	return nil
}

// volume is a volume descriptor.
func (in *inspector) volume(f *file) error {
	b, err := readSmall(f.abs)
	if err != nil {
		return err
	}
	v, err := discovery.DecodeVolume(b)
	if err != nil {
		in.damage(f.abs, 0, "volume descriptor", "a valid one", err.Error())
		return nil
	}
	up := filepath.Dir(f.abs)
	if filepath.Base(filepath.Dir(up)) == "volumes" && (v.ID.String() != filepath.Base(up) || fsbackend.GenerationName(uint64(v.Epoch)) != f.name) {
		in.damage(f.abs, 0, "volume descriptor", fmt.Sprintf("volume %s epoch %s", filepath.Base(up), f.name), fmt.Sprintf("volume %s epoch %d", v.ID, v.Epoch))
		return nil
	}
	in.items++
	in.line(f.abs, 0, "volume", field{"id", v.ID.String()}, field{"epoch", uint64(v.Epoch)}, field{"created", v.Created.Format(time.RFC3339)}, field{"names", len(v.Names)},
		field{"slots", len(v.Slots)}, field{"classes", len(v.Classes)})
	share := make([]int, len(v.Names))
	for _, s := range v.Slots {
		share[s]++
	}
	for i, id := range v.Names {
		in.line(f.abs, 0, "name-server", field{"id", id.String()}, field{"slots", share[i]})
	}
	for _, c := range v.Classes {
		for _, id := range c.Servers {
			in.line(f.abs, 0, "object-server", field{"id", id.String()}, field{"class", c.Class})
		}
	}
	return nil
}

// id is a file of one id.
func (in *inspector) id(f *file) error {
	b, err := readStart(f.abs, 64)
	if err != nil {
		return err
	}
	text := strings.TrimSuffix(string(b), "\n")
	id, err := cluster.ParseID(text)
	if whole := err == nil && len(b) == 17; !whole {
		in.damage(f.abs, 0, f.name+" file", "16 hex digits and a line feed", fmt.Sprintf("%q", b))
		return nil
	}
	in.items++
	in.line(f.abs, 0, f.name, field{"id", cluster.ServiceID(id).String()})
	return nil
}

// reserve is space and nothing else.
func (in *inspector) reserve(f *file) error {
	st, err := os.Stat(f.abs)
	if err != nil {
		return err
	}
	in.line(f.abs, 0, "reserve", field{"bytes", st.Size()})
	return nil
}
