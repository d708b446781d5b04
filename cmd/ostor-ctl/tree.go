package main

import (
	"encoding/binary"
	"fmt"
	"os"

	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/internal/fault"
)

func genDir(f *file) string { return fsbackend.GenerationDir(f.dir, f.generation) }

// tree is a tree file. Within a service's directory only what the newest root reaches is needed; a file by itself does not tell.
func (in *inspector) tree(f *file) error {
	generation, number := f.generation, uint32(f.number)
	var reached map[btree.PageID]struct{}
	whole := false
	if f.svc == nil {
		id, err := firstPage(f.abs)
		if err != nil || id == 0 {
			in.damage(f.abs, 0, "tree file", "a page with its address", "none")
			return err
		}
		generation, number = id.Generation(), id.File()
	} else if in.check {
		if s := in.load(f.svc); s != nil && s.Manifest != nil {
			reached, whole = f.svc.reached, !f.svc.damaged
		}
	}
	unused := 0
	err := btree.ScanFile(in.ctx, f.fs, f.dir, generation, number, func(p btree.PageInfo, entries []btree.PageEntry, err error) error {
		if err != nil {
			if _, ok := reached[p.ID]; !ok && whole {
				unused++
				return nil
			}
			in.failed(f.base(), f.abs, "page", err)
			return nil
		}
		in.items++
		return in.page(f, p, entries)
	})
	if unused > 0 {
		in.note(f.abs, 0, fmt.Sprintf("%s that the root does not reach: torn or damaged, but not needed", plural(unused, "invalid page")))
	}
	return err
}

func (in *inspector) page(f *file, p btree.PageInfo, entries []btree.PageEntry) error {
	off := p.ID.Offset()
	if !in.line(f.abs, off, "page", field{"id", p.ID.String()}, field{"type", p.Kind}, field{"level", p.Level}, field{"tx", uint64(p.TxID)}, field{"entries", p.Entries}, field{"used", p.UsedBytes},
		field{"prefix", p.PrefixBytes}, crcField(p.CRC)) || in.check {
		return nil
	}
	d := newDecoder(f)
	for _, e := range entries {
		if p.Kind == "branch" {
			in.line(f.abs, off, "  child", field{"key", quoted(e.Key)}, field{"page", e.Child.String()})
			continue
		}
		if e.Overflow != 0 && e.Value == nil {
			in.line(f.abs, off, "  entry", field{"key", quoted(e.Key)}, field{"bytes", e.Bytes}, field{"at", e.Overflow.String()})
			continue
		}
		text, err := d.describe(e.Key, e.Value)
		if err != nil {
			in.damage(f.abs, off, fmt.Sprintf("value of key %q", e.Key), "a record of its table", err.Error())
			continue
		}
		fields := entryFields(e.Key, e.Bytes, text)
		if e.Overflow != 0 {
			fields = append(fields, field{"at", e.Overflow.String()})
		}
		in.line(f.abs, off, "  entry", fields...)
	}
	return nil
}

// firstPage returns the address that the first page of a file should have, taken from the first page that has a magic.
func firstPage(abs string) (btree.PageID, error) {
	st, err := os.Stat(abs)
	if err != nil {
		return 0, err
	}
	for off := int64(0); off < st.Size(); off += btree.PageBytes {
		b, err := readPart(abs, off, 16)
		if err != nil || len(b) < 16 {
			return 0, err
		}
		if id := btree.PageID(binary.LittleEndian.Uint64(b[8:])); string(b[:4]) == "OBT1" && id.Offset() == off {
			return id, nil
		}
	}
	return 0, fault.New(fault.Corrupt, "no page with its address")
}
