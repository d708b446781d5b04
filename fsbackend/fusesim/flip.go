package fusesim

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

// flipped is the result of "flip".
type flipped struct {
	Offsets []int64 `json:"offsets"` // of the bytes that were changed
}

// flip damages what lies on disk, so that nobody is told: bits of a file, or of its copy in one store.
func (c *Cluster) flip(q Request) (flipped, error) {
	var done flipped
	if q.Name == "" || !fsbackend.ValidName(q.Name) || q.Bits <= 0 || q.Bits > 1<<20 || q.Off < 0 || q.Len < 0 {
		return done, fault.New(fault.Invalid, "fusesim: which file, and how many bits of which range?")
	}
	flags := os.O_RDWR | syscall.O_NOFOLLOW
	f, err := os.OpenFile(filepath.Join(c.sim.root, q.Name), flags, 0)
	if err != nil {
		return done, fault.Wrap(fault.Invalid, err, "fusesim: flip")
	}
	defer func() { _ = f.Close() }()
	key, st, err := keyOf(int(f.Fd()))
	if err != nil {
		return done, err
	}
	at := f
	if len(c.sim.opts.Stores) > 0 {
		stores, err := c.store(q.Store)
		if err != nil {
			return done, err
		}
		if at, err = os.OpenFile(stores.path(q.Store, key), flags, 0); err != nil {
			return done, fault.Wrap(fault.Invalid, err, "fusesim: store %d has no copy of %s", q.Store, q.Name)
		}
		defer func() { _ = at.Close() }()
	}
	length := st.Size - q.Off
	if q.Len > 0 {
		length = min(length, q.Len)
	}
	if length <= 0 {
		return done, fault.New(fault.Invalid, "fusesim: %s has %d bytes: there is nothing to flip at %d", q.Name, st.Size, q.Off)
	}
	rnd, hit := rand.New(rand.NewPCG(q.Seed, 0x666c6970)), make(map[int64]bool)
	for int64(len(hit)) < min(int64(q.Bits), length*8) {
		bit := rnd.Int64N(length * 8)
		if hit[bit] {
			continue
		}
		hit[bit] = true
		var b [1]byte
		off := q.Off + bit/8
		if _, err := at.ReadAt(b[:], off); err != nil {
			return done, err
		}
		b[0] ^= 1 << (bit % 8)
		if _, err := at.WriteAt(b[:], off); err != nil {
			return done, err
		}
		done.Offsets = append(done.Offsets, off)
	}
	return done, nil
}
