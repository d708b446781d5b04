package lease

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

// RegisterBoot returns the number of this boot of the host whose directory on the mount is hostDir (control/hosts/<16hex>, which must exist), and makes it known to
// other hosts if it is new. Every process of one boot gets the same number, and a later boot a higher one.
func RegisterBoot(fsys fsbackend.FS, hostDir string) (uint64, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return 0, fmt.Errorf("lease: read the kernel's boot id: %w", err)
	}
	k, err := registerBoot(fsys, hostDir, strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("lease: register boot in %s: %w", hostDir, err)
	}
	return k, nil
}

// registerBoot: the id is part of the name, so two processes that start at once make the same name, and no process ever sees half of one. Two numbers for one boot
// would be a proof of death for the living.
func registerBoot(fsys fsbackend.FS, hostDir, id string) (uint64, error) {
	if id == "" || strings.ContainsAny(id, "/.") {
		return 0, fault.New(fault.Invalid, "the kernel's boot id is %q", id)
	}
	names, err := fsys.List(hostDir)
	if err != nil {
		return 0, err
	}
	highest := uint64(0)
	for _, name := range names {
		k, of, ok := parseBoot(name)
		if ok && of == id {
			return k, fsys.SyncDir(hostDir) // the process that made the name may not have come so far
		}
		if ok {
			highest = max(highest, k)
		}
	}
	h, err := fsys.Create(fmt.Sprintf("%s/boot-%d.%s", hostDir, highest+1, id))
	if err == nil {
		err = errors.Join(h.Sync(), h.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return 0, err
	}
	return highest + 1, fsys.SyncDir(hostDir)
}

func parseBoot(name string) (k uint64, id string, ok bool) {
	rest, ok := strings.CutPrefix(name, "boot-")
	if !ok {
		return 0, "", false
	}
	digits, id, ok := strings.Cut(rest, ".")
	if !ok {
		return 0, "", false
	}
	k, err := strconv.ParseUint(digits, 10, 64)
	return k, id, err == nil && k > 0
}

// newestBoot returns the number of the newest boot of a host that the mount shows, 0 when it shows none.
func newestBoot(fsys fsbackend.FS, hostsDir string, host uint64) uint64 {
	names, err := fsys.List(path.Join(hostsDir, fmt.Sprintf("%016x", host)))
	if err != nil {
		return 0
	}
	newest := uint64(0)
	for _, name := range names {
		if k, _, ok := parseBoot(name); ok {
			newest = max(newest, k)
		}
	}
	return newest
}
