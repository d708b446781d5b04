package nameserver

import (
	"encoding/binary"
	"errors"
	"io"

	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// The backup stream (FORMAT.md, "Backup").
const (
	backupVersion     = 1
	backupHeaderBytes = 48
	backupFrameBytes  = 8        // before each frame's entries
	backupEndBytes    = 20       // the last frame's payload
	backupFlushBytes  = 64 << 10 // a frame is ended when it has this many bytes of entries
	maxBackupFrame    = backupFlushBytes + 128<<10
)

var backupMagic = [8]byte{'o', 's', 't', 'o', 'r', 'B', 'A', 'K'}

// BackupHeader says what a backup is of.
type BackupHeader struct {
	Service    cluster.ServiceID
	Generation uint64 // of the owner that made it: no version in it is of a later one
	CreatedMs  int64  // Unix time; for people
}

func (h BackupHeader) encode() []byte {
	b := make([]byte, backupHeaderBytes)
	le := binary.LittleEndian
	copy(b, backupMagic[:])
	le.PutUint16(b[8:], backupVersion)
	le.PutUint64(b[16:], uint64(h.Service))
	le.PutUint64(b[24:], h.Generation)
	le.PutUint64(b[32:], uint64(h.CreatedMs))
	le.PutUint32(b[44:], checksum.CRC32C(b[:44]))
	return b
}

func decodeBackupHeader(b []byte) (h BackupHeader, err error) {
	le := binary.LittleEndian
	switch {
	case len(b) != backupHeaderBytes || [8]byte(b) != backupMagic:
		return h, fault.New(fault.Corrupt, "not a backup of a name server")
	case le.Uint32(b[44:]) != checksum.CRC32C(b[:44]):
		return h, fault.New(fault.Corrupt, "checksum of the backup's header does not match")
	case le.Uint16(b[8:]) != backupVersion || le.Uint32(b[10:]) != 0 || le.Uint16(b[14:]) != 0 || le.Uint32(b[40:]) != 0:
		return h, fault.New(fault.NotSupported, "backup of version %d", le.Uint16(b[8:]))
	}
	return BackupHeader{cluster.ServiceID(le.Uint64(b[16:])), le.Uint64(b[24:]), int64(le.Uint64(b[32:]))}, nil
}

// backupWriter writes frames. sum chains them: each frame's checksum goes on from that of the one before, so that none can be missing or exchanged.
type backupWriter struct {
	w       io.Writer
	buf     []byte // room for the frame's head, then entries
	sum     uint32
	entries uint64
	bytes   uint64 // of keys and values
}

func newBackupWriter(w io.Writer, h BackupHeader) (*backupWriter, error) {
	b := h.encode()
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	return &backupWriter{w: w, buf: make([]byte, backupFrameBytes, maxBackupFrame), sum: checksum.CRC32C(b)}, nil
}

func (w *backupWriter) add(k, v []byte) error {
	w.buf = append(binary.AppendUvarint(w.buf, uint64(len(k))), k...)
	w.buf = append(binary.AppendUvarint(w.buf, uint64(len(v))), v...)
	w.entries++
	w.bytes += uint64(len(k) + len(v))
	if len(w.buf) >= backupFlushBytes {
		return w.flush(0)
	}
	return nil
}

// backupLast marks the length of the last frame.
const backupLast = 1 << 31

func (w *backupWriter) flush(last uint32) error {
	n := len(w.buf) - backupFrameBytes
	if n == 0 {
		return nil
	}
	binary.LittleEndian.PutUint32(w.buf, uint32(n)|last)
	w.sum = checksum.Update(checksum.Update(w.sum, w.buf[:4]), w.buf[backupFrameBytes:])
	binary.LittleEndian.PutUint32(w.buf[4:], w.sum)
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:backupFrameBytes]
	return err
}

func (w *backupWriter) close() error {
	if err := w.flush(0); err != nil {
		return err
	}
	w.buf = binary.LittleEndian.AppendUint64(w.buf, w.entries)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, w.bytes)
	w.buf = append(w.buf, 'e', 'n', 'd', '.')
	return w.flush(backupLast)
}

// ReadBackup reads a backup and calls fn for each entry, in ascending order of keys; k and v are valid during the call only. It returns fault.Corrupt, saying at which byte, when the stream is
// damaged, torn or has bytes after its end: entries handed out before were part of the backup, but only an error of nil says that they are all. It ends with the first error of fn.
func ReadBackup(r io.Reader, fn func(k, v []byte) error) (h BackupHeader, err error) {
	b := make([]byte, backupHeaderBytes, maxBackupFrame)
	if _, err := io.ReadFull(r, b); err != nil {
		return h, backupEnds(0, err)
	}
	if h, err = decodeBackupHeader(b); err != nil {
		return h, err
	}
	d := backupReader{r: r, fn: fn, sum: checksum.CRC32C(b), at: backupHeaderBytes, buf: b}
	for {
		last, err := d.frame()
		if last || err != nil {
			return h, err
		}
	}
}

type backupReader struct {
	r       io.Reader
	fn      func(k, v []byte) error
	sum     uint32
	at      int64 // offset of the frame
	buf     []byte
	prev    []byte // last key
	entries uint64
	bytes   uint64
}

func backupEnds(at int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Corrupt, "the backup ends at byte %d or soon after, before its end mark", at)
	}
	return err
}

func (d *backupReader) damaged(what string) error {
	return fault.New(fault.Corrupt, "the backup is damaged in the frame at byte %d: %s", d.at, what)
}

func (d *backupReader) frame() (last bool, err error) {
	head := d.buf[:backupFrameBytes]
	if _, err := io.ReadFull(d.r, head); err != nil {
		return false, backupEnds(d.at, err)
	}
	n := binary.LittleEndian.Uint32(head)
	want := binary.LittleEndian.Uint32(head[4:])
	last = n&backupLast != 0
	sum := checksum.Update(d.sum, head[:4])
	if n &^= backupLast; n == 0 || n > maxBackupFrame || last && n != backupEndBytes {
		return false, d.damaged("impossible length")
	}
	b := d.buf[:n]
	if _, err := io.ReadFull(d.r, b); err != nil {
		return false, backupEnds(d.at, err)
	}
	if sum = checksum.Update(sum, b); sum != want {
		return false, d.damaged("checksum does not match")
	}
	if last {
		if binary.LittleEndian.Uint64(b) != d.entries || binary.LittleEndian.Uint64(b[8:]) != d.bytes || string(b[16:]) != "end." {
			return false, d.damaged("the end mark counts other entries")
		}
		if k, err := io.ReadFull(d.r, d.buf[:1]); k > 0 || !errors.Is(err, io.EOF) {
			return false, d.damaged("bytes after the end")
		}
		return true, nil
	}
	for len(b) > 0 {
		var k, v []byte
		var ok bool
		if k, b, ok = cutBackupBytes(b); ok {
			v, b, ok = cutBackupBytes(b)
		}
		if !ok || len(k) == 0 || d.entries > 0 && string(k) <= string(d.prev) {
			return false, d.damaged("malformed entry")
		}
		d.prev = append(d.prev[:0], k...)
		d.entries++
		d.bytes += uint64(len(k) + len(v))
		if err := d.fn(k, v); err != nil {
			return false, err
		}
	}
	d.sum = sum
	d.at += backupFrameBytes + int64(n)
	return false, nil
}

func cutBackupBytes(b []byte) (p, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	return b[w : w+int(n)], b[w+int(n):], true
}
