package pools

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"ostor/fsbackend"
)

// FileID names a pool file. Numbers count up from 1 within a generation and pool and are never used again.
type FileID struct {
	Generation uint64
	Pool       Pool
	Number     uint32
}

// Addr is the address of one block.
type Addr struct {
	FileID
	Block uint32 // number in the file, counted over all its regions
}

// RegionID names a region: what has one record in the tree.
type RegionID struct {
	FileID
	Region uint32
}

// IsZero reports whether a is no address.
func (a Addr) IsZero() bool { return a == Addr{} }

// Compare orders files by pool, generation and number, as a sweep writes them.
func (f FileID) Compare(g FileID) int {
	return cmp.Or(cmp.Compare(f.Pool, g.Pool), cmp.Compare(f.Generation, g.Generation), cmp.Compare(f.Number, g.Number))
}

// Compare orders blocks by file and position.
func (a Addr) Compare(b Addr) int {
	return cmp.Or(a.FileID.Compare(b.FileID), cmp.Compare(a.Block, b.Block))
}

func (f FileID) String() string {
	return fsbackend.GenerationName(f.Generation) + "/" + f.base()
}

func (a Addr) String() string {
	return a.FileID.String() + ":" + strconv.FormatUint(uint64(a.Block), 10)
}

func (f FileID) base() string { return fmt.Sprintf("pool-%02d.%06d", uint8(f.Pool), f.Number) }

// Name returns the file's name, for a service in dir.
func (f FileID) Name(dir string) string {
	return fsbackend.GenerationDir(dir, f.Generation) + "/" + f.base()
}

// parseFileName reads the name of a pool file within a generation's directory.
func parseFileName(generation uint64, name string) (FileID, bool) {
	rest, ok := strings.CutPrefix(name, "pool-")
	kk, n, dot := strings.Cut(rest, ".")
	pool, err1 := strconv.ParseUint(kk, 10, 8)
	number, err2 := strconv.ParseUint(n, 10, 32)
	f := FileID{generation, Pool(pool), uint32(number)}
	return f, ok && dot && err1 == nil && err2 == nil && pool < PoolCount && number > 0 && f.base() == name
}
