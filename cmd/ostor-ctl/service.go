package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/fsbackend/redolog"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/nameserver"
	"ostor/objserver"
	"ostor/pools"
)

// service is the directory of a service, and what its files say together once loaded.
type service struct {
	abs string
	id  cluster.ServiceID
	fs  fsbackend.FS // of the directory above
	dir string       // last part of abs: the service within fs

	loaded  bool
	damaged bool // what follows is not whole
	found   store.Inspected
	overlay map[string][]byte // changes above the root, by key; nil = removed
	reached map[btree.PageID]struct{}
	blocks  map[pools.FileID][]uint64 // short id of the object that has the block, 0 = none, or pending
	regions map[pools.RegionID]pools.RegionRecord
	moving  map[cluster.ObjectID]bool // objects with a payload that is not in their blocks yet
}

// note is the name of a claim or release.
func (s *service) note(g uint64, kind string) string {
	return filepath.Join(s.abs, fsbackend.GenDir, fsbackend.GenerationName(g)+"."+kind)
}

// begin tells of a service as a whole.
func (in *inspector) begin(s *service) {
	newest := uint64(0)
	entries, _ := os.ReadDir(filepath.Join(s.abs, fsbackend.GenDir))
	for _, e := range entries {
		if digits, ok := strings.CutSuffix(e.Name(), ".claim"); ok {
			newest = max(newest, generationOf(digits))
		}
	}
	if newest > 0 && !s.released(newest) {
		in.print("note", s.abs, 0, []field{{"text", fmt.Sprintf("generation %d has no release: its owner was killed, or runs; then results may be transient", newest)}})
		in.notes++
	}
	if !in.check {
		in.line(s.abs, 0, "service", field{"id", s.id.String()}, field{"type", s.id.Type().String()}, field{"generation", newest})
		return
	}
	if f := in.load(s); f != nil && f.Manifest != nil {
		in.print("service", s.abs, 0, []field{{"id", s.id.String()}, {"type", s.id.Type().String()}, {"generation", newest}, {"home", f.Manifest.Home}, {"root_lsn", f.Root.LSN},
			{"last_lsn", f.Last}, {"entries_in_tree", f.Root.Entries}, {"changes_above", len(s.overlay)}, {"pages", f.Root.Pages}})
	}
}

// load reads log and tree of a service once, as a start of it would, and reports damage (in files that are asked for).
func (in *inspector) load(s *service) *store.Inspected {
	if s.loaded {
		return &s.found
	}
	s.loaded = true
	s.overlay, s.reached = make(map[string][]byte), make(map[btree.PageID]struct{})
	s.blocks, s.regions, s.moving = make(map[pools.FileID][]uint64), make(map[pools.RegionID]pools.RegionRecord), make(map[cluster.ObjectID]bool)
	damage := func(err error) {
		s.damaged = true
		in.failed(filepath.Dir(s.abs), s.abs, "service", err)
	}
	var err error
	s.found, err = store.Inspect(in.ctx, s.fs, s.dir, func(r *redolog.Record) error {
		err := store.DumpBatch(r, func(key, value []byte, deleted bool) {
			if deleted {
				s.overlay[string(key)] = nil
			} else {
				s.overlay[string(key)] = append([]byte{}, value...)
			}
		})
		if err != nil {
			damage(err)
		}
		return nil
	}, damage)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			damage(err)
		}
		return &s.found
	}
	if s.found.Manifest == nil {
		return &s.found
	}
	in.owners(s)
	if s.id.Type() == cluster.TypeObject {
		in.payloads(s, damage)
	}
	in.entries(s, damage)
	if !s.damaged { // order, bounds and counts
		if _, err := btree.Inspect(in.ctx, s.fs, s.dir, s.found.Root); err != nil {
			damage(err)
		}
	}
	if !s.damaged && s.id.Type() == cluster.TypeObject {
		in.regionRecords(s, damage)
	}
	return &s.found
}

// owners sees that every generation that answered has its manifest: it was durable before.
func (in *inspector) owners(s *service) {
	gens, _ := filepath.Glob(filepath.Join(s.abs, fsbackend.GenDir, "*", fsbackend.OwnerName))
	for _, name := range gens {
		manifest := filepath.Join(filepath.Dir(name), fsbackend.ManifestName)
		if _, err := os.Stat(manifest); errors.Is(err, fs.ErrNotExist) {
			in.damage(manifest, 0, "manifest", "a file: its generation has answered", "none")
		}
	}
}

// payloads notes the objects whose payload is not in their blocks yet.
func (in *inspector) payloads(s *service, damage func(error)) {
	from, to := objserver.PayloadRange()
	note := func(key, value []byte) {
		var d objserver.Decoder
		if bytes.Compare(key, from) < 0 || bytes.Compare(key, to) >= 0 {
			return
		}
		if r, err := d.Decode(key, value); err == nil && r.Payload {
			s.moving[r.Object] = true
		}
	}
	for k, v := range s.overlay {
		if v != nil {
			note([]byte(k), v)
		}
	}
	err := btree.Walk(in.ctx, s.fs, s.dir, s.found.Root, from, to, btree.Pages{Page: func(p btree.PageInfo, list []btree.PageEntry) error {
		for _, e := range list {
			if _, changed := s.overlay[string(e.Key)]; p.Level == 0 && !changed {
				note(e.Key, e.Value)
			}
		}
		return nil
	}})
	if err != nil {
		damage(err)
	}
}

// entries decodes every entry of the service: those of the tree, and those above it.
func (in *inspector) entries(s *service, damage func(error)) {
	var d objserver.Decoder
	treeFile := func(id btree.PageID) string {
		return filepath.Join(s.abs, fsbackend.GenDir, fsbackend.GenerationName(id.Generation()), fmt.Sprintf("tree-%03d", id.File()))
	}
	decode := func(abs string, off int64, key, value []byte) {
		in.items++
		var err error
		switch s.id.Type() {
		case cluster.TypeName:
			_, err = nameserver.Describe(key, value)
		case cluster.TypeObject:
			var r objserver.Record
			if r, err = d.Decode(key, value); err == nil {
				err = s.take(r)
			}
		}
		if err != nil {
			s.damaged = true
			in.damage(abs, off, fmt.Sprintf("value of key %q", key), "a record of its table", err.Error())
		}
	}
	err := btree.Walk(in.ctx, s.fs, s.dir, s.found.Root, nil, nil, btree.Pages{Damage: damage,
		Reach: func(id btree.PageID) { s.reached[id] = struct{}{} },
		Page: func(p btree.PageInfo, list []btree.PageEntry) error {
			for _, e := range list {
				if _, changed := s.overlay[string(e.Key)]; p.Level > 0 || changed || e.Value == nil && e.Overflow != 0 {
					continue
				}
				decode(treeFile(p.ID), p.ID.Offset(), e.Key, e.Value)
			}
			return nil
		}})
	if err != nil {
		damage(err)
	}
	for _, k := range slices.Sorted(maps.Keys(s.overlay)) {
		if v := s.overlay[k]; v != nil {
			decode(s.abs, 0, []byte(k), v)
		}
	}
}

// take notes what a record of an object server says about blocks.
func (s *service) take(r objserver.Record) error {
	if r.Region != nil {
		s.regions[*r.Region] = pools.RegionRecord{Objects: r.InUse.Objects, LiveBytes: r.InUse.LiveBytes, Mask: bytes.Clone(r.InUse.Mask)}
	}
	owner := short(r.Object)
	for _, b := range r.Blocks {
		list := s.blocks[b.Addr.FileID]
		if int(b.Addr.Block) >= len(list) {
			if b.Addr.Block >= 1<<25 { // 65536 regions of 512 blocks
				return fmt.Errorf("block %v is beyond the end of any file", b.Addr)
			}
			list = slices.Grow(list, int(b.Addr.Block)+1-len(list))[:b.Addr.Block+1]
			s.blocks[b.Addr.FileID] = list
		}
		if list[b.Addr.Block] != 0 {
			return fmt.Errorf("block %v belongs to another object, too", b.Addr)
		}
		if list[b.Addr.Block] = owner; s.moving[r.Object] {
			list[b.Addr.Block] = pending
		}
	}
	return nil
}

// regionRecords compares the masks of blocks in use with the objects' blocks.
func (in *inspector) regionRecords(s *service, damage func(error)) {
	used := make(map[pools.RegionID]int)
	for id, owners := range s.blocks {
		name := id.Name(s.dir)
		abs := filepath.Join(filepath.Dir(s.abs), name)
		b, err := readStart(abs, 4096)
		if err != nil {
			in.damage(abs, 0, "pool file", "a file with blocks in use", err.Error())
			continue
		}
		sys, err := pools.DecodeSystem(b)
		if err != nil {
			continue // the file's own check tells
		}
		for i, owner := range owners {
			if owner == 0 {
				continue
			}
			region := pools.RegionID{FileID: id, Region: uint32(i) / sys.Geometry.BlocksPerRegion}
			used[region]++
			if r, ok := s.regions[region]; !ok || !r.Has(uint32(i)%sys.Geometry.BlocksPerRegion) {
				in.damage(abs, sys.Geometry.HeaderOffset(id.Pool, uint32(i)), fmt.Sprintf("block %d", i), "a region record that has it in use", "none: it could be given to another object")
			}
		}
		for region, r := range s.regions {
			if region.FileID == id && used[region] != r.Used() {
				in.damage(abs, 0, fmt.Sprintf("region %d", region.Region), fmt.Sprintf("%d blocks in use, as objects say", used[region]), fmt.Sprintf("%d in its record", r.Used()))
			}
		}
	}
	for region, r := range s.regions {
		if s.blocks[region.FileID] == nil {
			damage(fmt.Errorf("region %d of %v has %d blocks in use, no object has one", region.Region, region.FileID, r.Used()))
		}
	}
}
