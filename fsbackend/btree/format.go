package btree

import (
	"encoding/binary"
	"fmt"

	"ostor/fsbackend"
	"ostor/internal/checksum"
	"ostor/internal/fault"
)

// Sizes of format version 1; FORMAT.md has the tables. The page size was chosen by measurement, see FORMAT.md, "Page size".
const (
	PageBytes     = 8192  // one page
	MaxKeyBytes   = 3072  // longest key
	MaxValueBytes = 65536 // longest value

	formatVersion = 1

	pageMagic       = 0x3154424f // "OBT1"
	pageHeaderBytes = 40
	maxInlineBytes  = PageBytes / 4 // a longer value lies in overflow pages
	slotBytes       = 2
	leafCellBytes   = 4  // before the key: key length, value length
	branchCellBytes = 14 // before the key: key length, child, checksum of the child
	overflowRef     = 16 // first page, length, checksum of the value
	overflowMark    = 0xffff
	overflowBytes   = PageBytes - pageHeaderBytes // payload of an overflow page
	maxRunPages     = (MaxValueBytes + overflowBytes - 1) / overflowBytes

	maxFilePages   = 65024 // pages of one file: what a map page has bits for
	dirEntryBytes  = 32
	dirLinkBytes   = 16 // next directory page and its checksum, before the entries
	dirPageEntries = (PageBytes - pageHeaderBytes - dirLinkBytes) / dirEntryBytes

	maxGeneration = 1<<24 - 1
	maxFileNumber = 1<<24 - 1
	maxLevels     = 32

	// RootBytes is the length of an encoded Root.
	RootBytes = 96
	rootMagic = 0x3152424f // "OBR1"

	ringSlots     = 8
	ringSlotBytes = 4096
	ringCopy      = 2048 // offset of the second copy of the root within its slot: another sector
)

// A branch page holds at least two of the longest separators, a map page has a bit per page of a file, offsets fit 16 bits.
const (
	_ = uint(PageBytes - pageHeaderBytes - 3*(slotBytes+branchCellBytes) - 2*MaxKeyBytes)
	_ = uint(PageBytes - pageHeaderBytes - slotBytes - leafCellBytes - MaxKeyBytes - maxInlineBytes)
	_ = uint((PageBytes-pageHeaderBytes)*8 - maxFilePages)
	_ = uint(1<<16 - 1 - PageBytes)
	_ = uint(ringSlotBytes - ringCopy - RootBytes)
)

// Kinds of pages.
const (
	kindLeaf      = 1
	kindBranch    = 2
	kindOverflow  = 3
	kindMap       = 4
	kindDirectory = 5
)

var kindNames = [...]string{"?", "leaf", "branch", "overflow", "map", "directory"}

// TxID numbers the attempts to write a root: each Apply takes the next one. 0 is the empty tree before the first.
type TxID uint64

// PageID is the address of a page: 24 bits generation, 24 bits number of the file in the generation's directory, 16 bits page in the file. File
// numbers start with 1, so 0 is no page.
type PageID uint64

func makePageID(gen uint64, file uint32, page int) PageID {
	return PageID(gen<<40 | uint64(file)<<16 | uint64(page))
}

// Generation returns the generation that wrote the page.
func (id PageID) Generation() uint64 { return uint64(id >> 40) }

// File returns the number of the page's file.
func (id PageID) File() uint32 { return uint32(id>>16) & maxFileNumber }

// Offset returns the page's offset in its file in bytes.
func (id PageID) Offset() int64 { return int64(id&0xffff) * PageBytes }

func (id PageID) index() int    { return int(id & 0xffff) }
func (id PageID) file() fileKey { return fileKey(id >> 16) }

// String returns generation, file and page number, as in "3/tree-001/17".
func (id PageID) String() string {
	return fmt.Sprintf("%d/%s/%d", id.Generation(), treeName(id.File()), id.index())
}

// fileKey is a PageID without the page: generation and file number. Keys sort by generation, then number.
type fileKey uint64

func makeFileKey(gen uint64, file uint32) fileKey { return fileKey(gen<<24 | uint64(file)) }
func (k fileKey) generation() uint64              { return uint64(k >> 24) }
func (k fileKey) number() uint32                  { return uint32(k) & maxFileNumber }
func (k fileKey) page(i int) PageID               { return PageID(uint64(k)<<16 | uint64(i)) }

// name returns the file's name for a service directory.
func (k fileKey) name(dir string) string {
	return fsbackend.GenerationDir(dir, k.generation()) + "/" + treeName(k.number())
}

// Names in a generation's directory.
const (
	RootsName  = "roots" // the ring of roots
	treePrefix = "tree-"
)

func treeName(number uint32) string { return fmt.Sprintf(treePrefix+"%03d", number) }

// ref points to a page and says which bytes it must have.
type ref struct {
	id  PageID
	crc uint32 // the page's checksum field
}

// Root is one state of the tree. The zero Root is the empty tree that nothing was ever applied to.
type Root struct {
	Generation uint64 // whose ring of roots it was written to
	TxID       TxID
	LSN        uint64 // as given to Apply: the tree holds every change up to it
	Page       PageID // root page of the tree; 0 = no entries
	Directory  PageID // first page of the directory of files; 0 = no files
	Entries    uint64 // keys in the tree
	Pages      uint64 // pages that the root reaches, of all kinds
	Height     int    // levels of the tree; 0 = no entries, 1 = Page is a leaf

	pageCRC, dirCRC uint32
}

// IsZero reports whether r is the zero Root.
func (r Root) IsZero() bool { return r == Root{} }

func (r Root) page() ref      { return ref{r.Page, r.pageCRC} }
func (r Root) directory() ref { return ref{r.Directory, r.dirCRC} }

// Append appends the RootBytes bytes of r to b.
func (r Root) Append(b []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, RootBytes)...)
	p, le := b[start:], binary.LittleEndian
	le.PutUint32(p[0:], rootMagic)
	le.PutUint16(p[8:], formatVersion)
	p[10] = byte(r.Height)
	le.PutUint32(p[12:], PageBytes)
	le.PutUint64(p[16:], r.Generation)
	le.PutUint64(p[24:], uint64(r.TxID))
	le.PutUint64(p[32:], r.LSN)
	le.PutUint64(p[40:], uint64(r.Page))
	le.PutUint32(p[48:], r.pageCRC)
	le.PutUint32(p[52:], r.dirCRC)
	le.PutUint64(p[56:], uint64(r.Directory))
	le.PutUint64(p[64:], r.Entries)
	le.PutUint64(p[72:], r.Pages)
	le.PutUint32(p[4:], checksum.CRC32C(p[8:]))
	return b
}

// DecodeRoot reads what Append wrote from the first RootBytes of b. It returns fault.Corrupt for bytes that are no root and
// fault.NotSupported for a root of another format version or page size.
func DecodeRoot(b []byte) (Root, error) {
	le := binary.LittleEndian
	switch {
	case len(b) < RootBytes:
		return Root{}, fault.New(fault.Corrupt, "btree: root has %d bytes, want %d", len(b), RootBytes)
	case le.Uint32(b) != rootMagic:
		return Root{}, fault.New(fault.Corrupt, "btree: root has magic %#x, want %#x", le.Uint32(b), rootMagic)
	}
	b = b[:RootBytes]
	if got, want := checksum.CRC32C(b[8:]), le.Uint32(b[4:]); got != want {
		return Root{}, fault.New(fault.Corrupt, "btree: root has checksum %#x, want %#x", got, want)
	}
	if v, size := le.Uint16(b[8:]), le.Uint32(b[12:]); v != formatVersion || size != PageBytes {
		return Root{}, fault.New(fault.NotSupported, "btree: root of format version %d with pages of %d bytes", v, size)
	}
	r := Root{
		Generation: le.Uint64(b[16:]), TxID: TxID(le.Uint64(b[24:])), LSN: le.Uint64(b[32:]),
		Page: PageID(le.Uint64(b[40:])), pageCRC: le.Uint32(b[48:]), dirCRC: le.Uint32(b[52:]), Directory: PageID(le.Uint64(b[56:])),
		Entries: le.Uint64(b[64:]), Pages: le.Uint64(b[72:]), Height: int(b[10]),
	}
	return r, r.validate()
}

func (r Root) validate() error {
	if r.Height > maxLevels || (r.Height == 0) != (r.Page == 0) || r.Generation > maxGeneration || (r.Page != 0 && r.Entries == 0) ||
		(r.Page == 0 && r.Entries != 0) {
		return fault.New(fault.Corrupt, "btree: root of transaction %d contradicts itself: height %d, page %v, %d entries", r.TxID, r.Height, r.Page, r.Entries)
	}
	return nil
}

// dirEntry is what the directory says about one file.
type dirEntry struct {
	key  fileKey
	live uint32 // pages that the root reaches
	bits ref    // map page; zero for a file of an older generation
}

func (e dirEntry) append(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(e.key))
	b = le.AppendUint64(b, uint64(e.bits.id))
	b = le.AppendUint32(b, e.bits.crc)
	b = le.AppendUint32(b, e.live)
	return le.AppendUint64(b, 0)
}

func decodeDirEntry(b []byte) dirEntry {
	le := binary.LittleEndian
	return dirEntry{key: fileKey(le.Uint64(b)), bits: ref{PageID(le.Uint64(b[8:])), le.Uint32(b[16:])}, live: le.Uint32(b[20:])}
}
