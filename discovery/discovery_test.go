package discovery

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

const (
	vol1 = cluster.ServiceID(0x0100000000000001)
	ns0  = cluster.ServiceID(0x0800000000000000)
	os0  = cluster.ServiceID(0x1000000000000000)
)

func epochTime() time.Time { return time.UnixMilli(1790000000123) }

func mustCreate(t testing.TB, fsys fsbackend.FS, names, objects int) Volume {
	t.Helper()
	v, err := CreateVolume(fsys, VolumeSpec{Names: names, Objects: objects, Now: epochTime})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCreateVolume(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	if ids, err := Volumes(fsys); err != nil || ids != nil {
		t.Errorf("empty mount: got %v, %v", ids, err)
	}
	v := mustCreate(t, fsys, 3, 2)
	if v.ID != vol1 || !slices.Equal(v.Names, []cluster.ServiceID{ns0, ns0 + 1, ns0 + 2}) || !slices.Equal(v.Objects(), []cluster.ServiceID{os0, os0 + 1}) {
		t.Errorf("got %+v", v)
	}
	w := mustCreate(t, fsys, 1, 1)
	if w.ID != vol1+1 || w.Names[0] != ns0+3 || w.Objects()[0] != os0+2 {
		t.Errorf("second volume: got %v %v %v", w.ID, w.Names, w.Objects())
	}
	// What was acknowledged survives a crash.
	after := fsys.CrashClone(memfs.Nothing)
	for _, want := range []Volume{v, w} {
		got, err := LoadVolume(after, want.ID)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("after a crash: got %+v, %v", got, err)
		}
		if of, err := VolumeOf(after, want.Names[0]); err != nil || of != want.ID {
			t.Errorf("volume of %v: got %v, %v", want.Names[0], of, err)
		}
	}
	if ids, err := Volumes(after); err != nil || !slices.Equal(ids, []cluster.ServiceID{v.ID, w.ID}) {
		t.Errorf("got %v, %v", ids, err)
	}
	if _, err := LoadVolume(fsys, vol1+9); !errors.Is(err, fault.NotFound) {
		t.Errorf("no such volume: got %v", err)
	}
	for _, s := range []VolumeSpec{{}, {Names: 1}, {Objects: 1}, {Names: MaxServers + 1, Objects: 1}} {
		if _, err := CreateVolume(fsys, s); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: got %v", s, err)
		}
	}
}

// Several creators at once: no id is given out twice.
func TestCreateVolumeRace(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	var mu sync.Mutex
	seen := map[cluster.ServiceID]bool{}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			v, err := CreateVolume(fsys, VolumeSpec{Names: 2, Objects: 2})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, id := range append(append(v.Objects(), v.Names...), v.ID) {
				if seen[id] {
					t.Errorf("%v was given out twice", id)
				}
				seen[id] = true
			}
		})
	}
	wg.Wait()
}

func TestNewestValidVolume(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	v := mustCreate(t, fsys, 2, 1)
	next := v
	next.Epoch = 2
	next.Slots = slices.Clone(v.Slots)
	next.Slots[0] = 1
	if err := PublishVolume(fsys, next); err != nil {
		t.Fatal(err)
	}
	if err := PublishVolume(fsys, next); !errors.Is(err, fault.Exists) {
		t.Errorf("an epoch twice: got %v", err)
	}
	third := next
	third.Epoch = 3
	b := third.Append(nil)
	torn := VolumeDir(v.ID) + "/" + epochName(3)
	for name, content := range map[string][]byte{"empty": nil, "half": b[:len(b)/2], "damaged": append(b[:len(b)-1:len(b)-1], b[len(b)-1]^1)} {
		if err := createFile(fsys, torn, content); err != nil {
			t.Fatal(err)
		}
		if got, err := LoadVolume(fsys, v.ID); err != nil || got.Epoch != 2 || got.Slots[0] != 1 {
			t.Errorf("%s: got epoch %v, %v, want 2", name, got.Epoch, err)
		}
		if err := fsys.Remove(torn); err != nil {
			t.Fatal(err)
		}
	}
	// A version of the future must not be passed over.
	binary.LittleEndian.PutUint32(b[8:], 2)
	binary.LittleEndian.PutUint32(b[len(b)-4:], checksum.CRC32C(b[:len(b)-4]))
	if err := createFile(fsys, torn, b); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadVolume(fsys, v.ID); !errors.Is(err, fault.NotSupported) {
		t.Errorf("newer version: got %v", err)
	}
}

func sampleOwner() Owner {
	return Owner{Service: ns0, Host: 0xfeed, Generation: 12, Addresses: []string{"unix:/run/ostor/ns0.12", "tcp:10.0.0.1:7400"}}
}

func claim(t testing.TB, fsys fsbackend.FS, id cluster.ServiceID, g uint64) {
	t.Helper()
	dir := ServiceDir(id) + "/" + fsbackend.GenDir
	if err := fsys.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Create(dir + "/" + fsbackend.GenerationName(g) + claimSuffix)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

func TestOwner(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	dir := ServiceDir(ns0)
	if _, err := ReadOwner(fsys, dir); !errors.Is(err, fault.NotFound) {
		t.Errorf("no service: got %v", err)
	}
	want := sampleOwner()
	claim(t, fsys, ns0, 12)
	if _, err := ReadOwner(fsys, dir); !errors.Is(err, fault.Unavailable) {
		t.Errorf("claimed, not published: got %v", err)
	}
	if err := PublishOwner(fsys, dir, want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadOwner(fsys, dir); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := PublishOwner(fsys, dir, want); !errors.Is(err, fault.Exists) {
		t.Errorf("published twice: got %v", err)
	}
	// A newer claim ends the older owner at once, also one with more digits.
	claim(t, fsys, ns0, 10_000_000_000)
	if _, err := ReadOwner(fsys, dir); !errors.Is(err, fault.Unavailable) {
		t.Errorf("newer claim: got %v", err)
	}
	// Names that are no claims change nothing.
	for _, n := range []string{"99.claim", "+0000000099.claim", "x.claim", "99999999999999999999999.claim", "0000000000.claim"} {
		if err := createFile(fsys, dir+"/gen/"+n, nil); err != nil {
			t.Fatal(err)
		}
	}
	if g, err := highestClaim(fsys, dir); err != nil || g != 10_000_000_000 {
		t.Errorf("got %v, %v", g, err)
	}
	// An owner record in the wrong place.
	claim(t, fsys, ns0+1, 12)
	gen := fsbackend.GenerationDir(ServiceDir(ns0+1), 12)
	if err := fsys.MkdirAll(gen); err != nil {
		t.Fatal(err)
	}
	if err := createFile(fsys, gen+"/"+fsbackend.OwnerName, want.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadOwner(fsys, ServiceDir(ns0+1)); !errors.Is(err, fault.Corrupt) {
		t.Errorf("misplaced: got %v", err)
	}
	for _, bad := range []Owner{{}, {Service: 1, Generation: 1}, {Service: 1, Generation: 1, Addresses: []string{"a b"}}, {Service: 1, Generation: 1, Addresses: []string{"a\n"}}} {
		if err := PublishOwner(fsys, dir, bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: got %v", bad, err)
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	mustCreate(t, fsys, 1, 1)
	if _, err := ReadHost(fsys, ServiceDir(ns0)); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	for _, h := range []cluster.HostID{1, 1, 0xabcdef} {
		if err := PublishHost(fsys, ServiceDir(ns0), h); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadHost(fsys, ServiceDir(ns0)); err != nil || got != h {
			t.Errorf("got %v, %v, want %v", got, err, h)
		}
	}
}

// A symbolic link that somebody planted is not followed: neither for the record nor for a directory above it.
func TestPlantedLinks(t *testing.T) {
	t.Parallel()
	for _, plant := range []string{"services/" + ns0.String() + "/gen/0000000012/owner", "services/" + ns0.String() + "/gen/0000000012", "services/" + ns0.String() + "/gen", "services/" + ns0.String(), "services"} {
		t.Run(filepath.Base(plant), func(t *testing.T) {
			t.Parallel()
			outside, root := t.TempDir(), t.TempDir()
			for _, r := range []string{outside, root} {
				fsys, err := fsbackend.NewOS(r)
				if err != nil {
					t.Fatal(err)
				}
				claim(t, fsys, ns0, 12)
				if err := PublishOwner(fsys, ServiceDir(ns0), sampleOwner()); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.RemoveAll(filepath.Join(root, plant)); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(outside, plant), filepath.Join(root, plant)); err != nil {
				t.Fatal(err)
			}
			fsys, err := fsbackend.NewOS(root)
			if err != nil {
				t.Fatal(err)
			}
			if o, err := ReadOwner(fsys, ServiceDir(ns0)); err == nil {
				t.Errorf("a planted link was followed to %+v", o)
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	file := filepath.Join("testdata/golden/v1", name)
	if *rewrite {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the encoding is not that of the golden file", name)
	}
	return want
}

func TestGolden(t *testing.T) {
	t.Parallel()
	v := mustCreate(t, memfs.New(), 3, 2)
	v.Classes = append(v.Classes, ObjectClass{Class: 3, Servers: []cluster.ServiceID{os0 + 7}})
	if got, err := DecodeVolume(golden(t, "volume", v.Append(nil))); err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := DecodeOwner(golden(t, "owner", sampleOwner().Append(nil))); err != nil || !reflect.DeepEqual(got, sampleOwner()) {
		t.Errorf("got %+v, %v", got, err)
	}
	var p strings.Builder
	for _, key := range []string{"", "a", "a/b", "a/c", "a//b", "a/b/", "\x00\xff/x", strings.Repeat("k", 1024)} {
		for _, b := range []cluster.BucketID{1, 0xfedcba9876543210} {
			fmt.Fprintf(&p, "key %v %.20q slot %d name %016x rank %016x\n", b, key, SlotOfKey(b, key), nameHash(b, key, 0), rank(nameHash(b, key, 3), os0+1))
		}
	}
	for _, n := range []string{"bucket", "another.bucket", "/u/0000000000000001", "/u/x", "/tmp/1"} {
		fmt.Fprintf(&p, "bucket %q slot %d, record slot %d\n", n, SlotOfBucket(n), SlotOfRecord(n))
	}
	golden(t, "placement.txt", []byte(p.String()))
	// The published check value of XXH64 with seed 0: the library must go on meaning the same function.
	if got := xxhash.Sum64String(""); got != 0xef46db3751d8e999 {
		t.Errorf("XXH64 of nothing is %x", got)
	}
	if SlotOfKey(1, "a/b") != SlotOfKey(1, "a/c") || SlotOfRecord("/u/a") != SlotOfRecord("/u/b") {
		t.Error("names of one directory are on different slots")
	}
}

func FuzzVolume(f *testing.F) {
	fsys := memfs.New()
	f.Add(mustCreate(f, fsys, 3, 2).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= volumeHeaderBytes+crcBytes { // so that the fuzzer gets past length and checksum
			binary.LittleEndian.PutUint32(b[12:], uint32(len(b)))
			binary.LittleEndian.PutUint32(b[len(b)-4:], checksum.CRC32C(b[:len(b)-4]))
		}
		v, err := DecodeVolume(b)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Corrupt && k != fault.NotSupported {
				t.Fatalf("kind %v: %v", k, err)
			}
			return
		}
		if got := v.Append(nil); !bytes.Equal(got, b) {
			t.Fatal("decodes, and encodes to other bytes")
		}
	})
}

func FuzzOwner(f *testing.F) {
	f.Add(sampleOwner().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		reseal(b)
		o, err := DecodeOwner(b)
		if err == nil && string(o.Append(nil)) != string(b) {
			t.Fatalf("%q decodes, and encodes to %q", b, o.Append(nil))
		}
	})
}
