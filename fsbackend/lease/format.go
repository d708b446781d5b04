package lease

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"time"

	"ostor/fsbackend"
	"ostor/internal/checksum"
	"ostor/internal/fault"
)

// Sizes of FORMAT.md, in bytes.
const (
	magic        = "OSTLEASE"
	version      = 1
	headerBytes  = 80
	crcBytes     = 4
	maxInfoBytes = 1024
)

const (
	kindClaim   uint16 = 1
	kindRelease uint16 = 2
)

type nonce [16]byte

// record is the content of a claim or release; see FORMAT.md.
type record struct {
	kind       uint16
	service    uint64
	generation uint64
	host       uint64
	boot       uint64
	nonce      nonce
	n          time.Duration
	wall       time.Time // for messages
	info       string    // for messages
}

// encode returns the bytes of FORMAT.md. Info that is too long is cut.
func (r *record) encode() []byte {
	info := r.info[:min(len(r.info), maxInfoBytes)]
	b := make([]byte, 0, headerBytes+len(info)+crcBytes)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, r.kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(info)))
	b = binary.LittleEndian.AppendUint64(b, r.service)
	b = binary.LittleEndian.AppendUint64(b, r.generation)
	b = binary.LittleEndian.AppendUint64(b, r.host)
	b = binary.LittleEndian.AppendUint64(b, r.boot)
	b = append(b, r.nonce[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.n))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.wall.UnixNano()))
	b = append(b, info...)
	return binary.LittleEndian.AppendUint32(b, checksum.CRC32C(b))
}

// decode reads a record. Its errors say what is wrong, without the file's name.
func decode(b []byte) (record, error) {
	if len(b) < headerBytes+crcBytes {
		return record{}, fmt.Errorf("%d bytes, want at least %d", len(b), headerBytes+crcBytes)
	}
	if string(b[:8]) != magic {
		return record{}, fmt.Errorf("magic %q, want %q", b[:8], magic)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != version {
		return record{}, fmt.Errorf("version %d, want %d", v, version)
	}
	infoBytes := binary.LittleEndian.Uint32(b[12:])
	if infoBytes > maxInfoBytes || len(b) != headerBytes+int(infoBytes)+crcBytes {
		return record{}, fmt.Errorf("%d bytes with an info of %d", len(b), infoBytes)
	}
	body := b[:len(b)-crcBytes]
	if got, want := checksum.CRC32C(body), binary.LittleEndian.Uint32(b[len(body):]); got != want {
		return record{}, fmt.Errorf("checksum %08x, want %08x", got, want)
	}
	r := record{
		kind:       binary.LittleEndian.Uint16(b[10:]),
		service:    binary.LittleEndian.Uint64(b[16:]),
		generation: binary.LittleEndian.Uint64(b[24:]),
		host:       binary.LittleEndian.Uint64(b[32:]),
		boot:       binary.LittleEndian.Uint64(b[40:]),
		nonce:      nonce(b[48:64]),
		n:          time.Duration(binary.LittleEndian.Uint64(b[64:])),
		wall:       time.Unix(0, int64(binary.LittleEndian.Uint64(b[72:]))).UTC(),
		info:       string(body[headerBytes:]),
	}
	return r, r.validate()
}

func (r *record) validate() error {
	switch {
	case r.kind != kindClaim && r.kind != kindRelease:
		return fmt.Errorf("kind %d", r.kind)
	case r.generation == 0:
		return errors.New("generation 0")
	case r.n <= 0 || r.n > time.Hour:
		return fmt.Errorf("period N of %v", r.n)
	}
	return nil
}

// serviceID returns the id in the last part of a service directory's name, 0 when that is none.
func serviceID(dir string) uint64 {
	id, _ := strconv.ParseUint(path.Base(dir), 16, 64)
	return id
}

// readRecord reads the record in a file and compares its identity. It returns fs.ErrNotExist when there is no file and fault.Corrupt when it is unreadable.
func readRecord(fsys fsbackend.FS, name string, kind uint16, service, generation uint64) (record, error) {
	h, err := fsys.OpenRead(name)
	if err != nil {
		return record{}, err
	}
	defer func() { _ = h.Close() }()
	b := make([]byte, headerBytes+maxInfoBytes+crcBytes+1)
	n, err := h.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return record{}, err
	}
	r, err := decode(b[:n])
	if err == nil && (r.kind != kind || r.service != service || r.generation != generation) {
		err = fmt.Errorf("kind %d of service %016x generation %d, want kind %d of %016x, %d", r.kind, r.service, r.generation, kind, service, generation)
	}
	if err != nil {
		return record{}, &fault.Corruption{File: name, What: "lease record", Want: "a record of FORMAT.md", Got: err.Error()}
	}
	return r, nil
}

// writeRecord creates a file with a record, and makes content and name durable. It returns fs.ErrExist when the name is taken; after any other error the name may
// be there. The file stays open.
func writeRecord(fsys fsbackend.FS, name string, r *record) (fsbackend.File, error) {
	b := r.encode()
	h, err := fsys.Create(name)
	if err != nil {
		return nil, err
	}
	if _, err = h.WriteAt(b, 0); err == nil {
		if err = h.Sync(); err == nil {
			err = fsys.SyncDir(path.Dir(name))
		}
	}
	if err != nil {
		_ = h.Close()
		return nil, err
	}
	return h, nil
}
