package main

import (
	"encoding/binary"
	"fmt"
	"os"

	"ostor/fsbackend/redolog"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/nameserver"
	"ostor/objserver"
)

// Of a record on disk: fsbackend/redolog/FORMAT.md.
const (
	recordMagic       = "oRL1"
	recordHeaderBytes = 40
	recordAlign       = 8
	headerBytes       = 64
)

// log is a segment of a redo log.
func (in *inspector) log(f *file) error {
	b, err := readStart(f.abs, redolog.HeaderBytes)
	if err != nil {
		return err
	}
	if len(b) < redolog.HeaderBytes {
		in.damage(f.abs, int64(len(b)), "log segment", fmt.Sprintf("%d bytes at least", redolog.MinSegmentBytes), fmt.Sprintf("%d bytes", len(b)))
		return nil
	}
	if zero(b[:headerBytes]) {
		in.line(f.abs, 0, "segment", field{"state", "not in use"})
		return nil
	}
	h, err := redolog.DecodeSegmentHeader(b)
	if err != nil { // a sector is written whole or not at all: no crash leaves half a header
		in.damage(f.abs, 0, "segment header", "a valid header", err.Error())
		return nil
	}
	if !zero(b[headerBytes:]) {
		in.damage(f.abs, headerBytes, "segment header", "zeroes behind it", "something else")
	}
	home := f.generation
	if f.svc == nil {
		home, f.number = h.Home, h.Number
	}
	in.items++
	in.line(f.abs, 0, "segment", field{"home", h.Home}, field{"number", h.Number}, field{"sequence", h.Sequence}, field{"bytes", h.SizeBytes}, field{"generation", h.Generation},
		field{"first_lsn", h.First}, crcField(binary.LittleEndian.Uint32(b[12:])))
	dir := f.dir
	if f.svc != nil {
		dir = genDir(f)
	}
	off := int64(redolog.HeaderBytes)
	seg, err := redolog.Inspect(f.fs, dir, redolog.SegmentName(f.number), home, func(r *redolog.Record) error {
		in.items++
		in.record(f, off, r)
		off += (recordHeaderBytes + int64(len(r.Payload)) + recordAlign - 1) &^ (recordAlign - 1)
		return in.ctx.Err()
	})
	if err != nil && f.svc != nil && seg.Valid {
		// A segment that was about to be reused may be torn: only records above the root are needed.
		if s := in.load(f.svc); s != nil && s.Manifest != nil {
			if again := seg.Read(f.fs, 0, s.Root.LSN, nil); again == nil {
				in.note(f.abs, seg.End, "torn or damaged, but the tree has all its records: "+err.Error())
				return nil
			}
		}
	}
	if err != nil {
		in.failed(f.base(), f.abs, "log segment", err)
		return nil
	}
	return in.tail(f, &seg)
}

func (in *inspector) record(f *file, off int64, r *redolog.Record) {
	sum, err := readPart(f.abs, off+4, 4)
	crc := field{"crc", "?"}
	if err == nil && len(sum) == 4 {
		crc = crcField(binary.LittleEndian.Uint32(sum))
	}
	in.line(f.abs, off, "record", field{"lsn", r.LSN}, field{"generation", r.Generation}, field{"durable", r.Durable}, field{"lazy", r.Lazy}, field{"bytes", len(r.Payload)}, crc)
	d := newDecoder(f)
	err = store.DumpBatch(r, func(key, value []byte, deleted bool) {
		if deleted {
			in.line(f.abs, off, "  delete", field{"key", quoted(key)})
			return
		}
		text, err := d.describe(key, value)
		if err != nil {
			in.damage(f.abs, off, fmt.Sprintf("value of key %q in the record of LSN %d", key, r.LSN), "a record of its table", err.Error())
			return
		}
		in.line(f.abs, off, "  put", entryFields(key, len(value), text)...)
	})
	if err != nil {
		in.damage(f.abs, off, fmt.Sprintf("record of LSN %d", r.LSN), "a batch", err.Error())
	}
}

func entryFields(key []byte, n int, text string) []field {
	fields := []field{{"key", quoted(key)}, {"bytes", n}}
	if text != "" {
		fields = append(fields, field{"is", text})
	}
	return fields
}

// tail looks at what follows the last valid record: one that was torn, or damaged where the log cannot tell.
func (in *inspector) tail(f *file, seg *redolog.Segment) error {
	if !seg.Valid {
		return nil
	}
	b, err := readPart(f.abs, seg.End, recordHeaderBytes)
	if err != nil {
		return err
	}
	in.line(f.abs, seg.End, "end", field{"last_lsn", seg.Last})
	if len(b) < recordHeaderBytes || string(b[:4]) != recordMagic || binary.LittleEndian.Uint64(b[16:]) != seg.Last+1 {
		return nil
	}
	if f.svc != nil && f.svc.released(binary.LittleEndian.Uint64(b[24:])) {
		in.damage(f.abs, seg.End, fmt.Sprintf("record of LSN %d", seg.Last+1), "a valid record: its generation ended cleanly", "one whose checksum does not match")
		return nil
	}
	in.note(f.abs, seg.End, fmt.Sprintf("the record of LSN %d, the last one, is torn (or damaged): it does not count", seg.Last+1))
	return nil
}

// decoder says what an entry of a service's store is.
type decoder struct {
	kind cluster.ServiceType
	obj  objserver.Decoder
}

func newDecoder(f *file) *decoder {
	if f.svc == nil {
		return &decoder{}
	}
	return &decoder{kind: f.svc.id.Type()}
}

// describe returns "" for a service whose entries are not known.
func (d *decoder) describe(key, value []byte) (string, error) {
	switch d.kind {
	case cluster.TypeName:
		return nameserver.Describe(key, value)
	case cluster.TypeObject:
		r, err := d.obj.Decode(key, value)
		return r.Text, err
	}
	return "", nil
}

// released says whether a generation's owner ended cleanly.
func (s *service) released(g uint64) bool {
	_, err := os.Stat(s.note(g, "release"))
	return err == nil
}
