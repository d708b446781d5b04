package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/fsbackend/redolog"
	"ostor/internal/checksum"
	"ostor/internal/fault"
)

// Manifest is what a generation starts from: written once, before the generation serves anything (FORMAT.md).
type Manifest struct {
	Generation uint64            // that wrote it
	Home       uint64            // whose directory it writes: its own, or the one it inherited
	First      uint64            // LSN of the first record of this generation
	Base       btree.Root        // tree from which Home started; counts until Home's ring of roots has a newer one
	Sealed     []redolog.Segment // logs of generations before Home with records above Base, oldest first: exactly these bytes count
}

const (
	manifestVersion    = 1
	manifestHeaderSize = 24
	manifestFixedSize  = manifestHeaderSize + 3*8 + 4 + btree.RootBytes + 4
	sealedSize         = 9*8 + 4 + 4
	maxSealed          = 1 << 16
	maxManifestBytes   = manifestFixedSize + maxSealed*sealedSize
)

var manifestMagic = [8]byte{'o', 's', 't', 'o', 'r', 'm', 'f', 's'}

// Append adds the encoded manifest to b.
func (m *Manifest) Append(b []byte) []byte {
	start := len(b)
	b = append(b, manifestMagic[:]...)
	b = binary.LittleEndian.AppendUint32(b, manifestVersion)
	b = binary.LittleEndian.AppendUint32(b, 0) // checksum
	b = binary.LittleEndian.AppendUint64(b, uint64(manifestFixedSize+len(m.Sealed)*sealedSize))
	for _, v := range [...]uint64{m.Generation, m.Home, m.First} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, btree.RootBytes)
	root := len(b)
	if b = append(b, make([]byte, btree.RootBytes)...); !m.Base.IsZero() {
		m.Base.Append(b[:root])
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Sealed)))
	for i := range m.Sealed {
		s := &m.Sealed[i]
		for _, v := range [...]uint64{s.Header.Home, s.Number, s.Header.Sequence, uint64(s.SizeBytes), s.Header.Generation, s.Header.First, s.Last, uint64(s.End), 0} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		b = binary.LittleEndian.AppendUint32(b, s.CRC)
		b = binary.LittleEndian.AppendUint32(b, 0)
	}
	binary.LittleEndian.PutUint32(b[start+12:], checksum.CRC32C(b[start+16:]))
	return b
}

// DecodeManifest reads what Append wrote; the directories of the segments are left empty. It returns fault.Corrupt for anything else, and fault.NotSupported for
// a version that this program does not know.
func DecodeManifest(b []byte) (*Manifest, error) {
	bad := func(format string, args ...any) (*Manifest, error) {
		return nil, fault.New(fault.Corrupt, "manifest: "+format, args...)
	}
	switch {
	case len(b) < manifestFixedSize:
		return bad("%d bytes, want %d at least", len(b), manifestFixedSize)
	case [8]byte(b[:8]) != manifestMagic:
		return bad("wrong magic")
	case binary.LittleEndian.Uint64(b[16:]) != uint64(len(b)):
		return bad("%d bytes, want %d", len(b), binary.LittleEndian.Uint64(b[16:]))
	}
	if got, want := checksum.CRC32C(b[16:]), binary.LittleEndian.Uint32(b[12:]); got != want {
		return bad("checksum %08x, want %08x", got, want)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != manifestVersion {
		return nil, fault.New(fault.NotSupported, "manifest: format version %d, this program knows %d", v, manifestVersion)
	}
	u64 := func() uint64 { v := binary.LittleEndian.Uint64(b); b = b[8:]; return v }
	u32 := func() uint32 { v := binary.LittleEndian.Uint32(b); b = b[4:]; return v }
	b = b[manifestHeaderSize:]
	m := &Manifest{Generation: u64(), Home: u64(), First: u64()}
	if n := u32(); n != btree.RootBytes {
		return bad("root of %d bytes, want %d", n, btree.RootBytes)
	}
	if root := b[:btree.RootBytes]; !allZero(root) {
		var err error
		if m.Base, err = btree.DecodeRoot(root); err != nil {
			return nil, fault.Wrap(fault.Corrupt, err, "manifest: base")
		}
	}
	b = b[btree.RootBytes:]
	if n := u32(); uint64(n)*sealedSize != uint64(len(b)) {
		return bad("%d sealed segments in %d bytes", n, len(b))
	}
	for len(b) > 0 {
		s := redolog.Segment{Valid: true}
		s.Header.Home, s.Number, s.Header.Sequence, s.SizeBytes = u64(), u64(), u64(), int64(u64())
		s.Header.Generation, s.Header.First, s.Last, s.End = u64(), u64(), u64(), int64(u64())
		if u64() != 0 {
			return bad("unknown field is set")
		}
		s.CRC = u32()
		if u32() != 0 {
			return bad("unknown field is set")
		}
		s.Header.Number, s.Header.SizeBytes = s.Number, uint64(s.SizeBytes)
		m.Sealed = append(m.Sealed, s)
	}
	if err := m.validate(); err != nil {
		return bad("%v", err)
	}
	return m, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (m *Manifest) validate() error {
	if m.Generation == 0 || m.Home == 0 || m.Home > m.Generation || m.First == 0 {
		return fmt.Errorf("generation %d, home %d, first LSN %d", m.Generation, m.Home, m.First)
	}
	next := m.Base.LSN + 1
	for i := range m.Sealed {
		s := &m.Sealed[i]
		if s.Header.Home == 0 || s.Header.Home >= m.Generation || s.Header.First == 0 || s.Header.First > next || s.Last+1 < s.Header.First || s.End < redolog.HeaderBytes ||
			s.End > s.SizeBytes || s.SizeBytes > 1<<40 {
			return fmt.Errorf("impossible sealed segment %d", i)
		}
		next = max(next, s.Last+1)
	}
	if m.First < next {
		return fmt.Errorf("first LSN %d, want %d at least", m.First, next)
	}
	return nil
}

// ReadManifest reads the manifest of a generation of the service in dir. It returns fs.ErrNotExist when there is none and fault.Corrupt when it is damaged or torn.
func ReadManifest(fsys fsbackend.FS, dir string, generation uint64) (*Manifest, error) {
	name := path.Join(fsbackend.GenerationDir(dir, generation), fsbackend.ManifestName)
	f, err := fsys.OpenRead(name)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", name, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "store: size of %s", name)
	}
	if size > maxManifestBytes {
		return nil, &fault.Corruption{File: name, What: "manifest", Want: "a reasonable length", Got: fmt.Sprintf("%d bytes", size)}
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fault.Wrap(fault.Unavailable, err, "store: read %s", name)
	}
	m, err := DecodeManifest(b[:n])
	if err == nil && m.Generation != generation {
		err = &fault.Corruption{File: name, What: "manifest", Want: fmt.Sprintf("generation %d", generation), Got: fmt.Sprint(m.Generation)}
	}
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", name, err)
	}
	for i := range m.Sealed {
		m.Sealed[i].Dir = fsbackend.GenerationDir(dir, m.Sealed[i].Header.Home)
	}
	return m, nil
}

// makeDir makes the generation's directory, durable.
func (m *Manifest) makeDir(fsys fsbackend.FS, dir string) error {
	if err := fsys.MkdirAll(fsbackend.GenerationDir(dir, m.Generation)); err != nil {
		return err
	}
	for _, d := range [...]string{dir, path.Join(dir, fsbackend.GenDir)} {
		if err := fsys.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// write makes the manifest durable, with its directory.
func (m *Manifest) write(fsys fsbackend.FS, dir string) error {
	own := fsbackend.GenerationDir(dir, m.Generation)
	if err := m.makeDir(fsys, dir); err != nil {
		return err
	}
	f, err := fsys.Create(path.Join(own, fsbackend.ManifestName))
	if errors.Is(err, fs.ErrExist) {
		return fault.Wrap(fault.Exists, err, "generation %d was opened before: a store is opened once by each owner", m.Generation)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(m.Append(nil), 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return fsys.SyncDir(own)
}
