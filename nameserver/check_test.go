package nameserver

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// TestCheckFindsDamage breaks each invariant by hand: Check names it.
func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	id := cluster.NewUploadID()
	for _, tc := range []struct {
		name   string
		rule   int
		damage func(tx *store.Tx, old, cur cluster.Entry)
	}{
		{"version without head", 1, func(tx *store.Tx, _, _ cluster.Entry) { tx.Delete(nameKey(tagHead, 1, "k", 0)) }},
		{"two null versions", 2, func(tx *store.Tx, old, _ cluster.Entry) {
			old.Null = true
			tx.Put(versionKey(1, "k", old.Version), appendEntry(nil, &old))
		}},
		{"head names no null version", 2, func(tx *store.Tx, _, cur cluster.Entry) {
			tx.Put(nameKey(tagHead, 1, "k", 0), promotedHead(appendEntry(nil, &cur), cluster.VersionID{Generation: 1, Sequence: 999}))
		}},
		{"version of the future", 3, func(tx *store.Tx, _, cur cluster.Entry) {
			cur.Version.Generation = 9
			tx.Put(nameKey(tagHead, 1, "k", 0), promotedHead(appendEntry(nil, &cur), cluster.VersionID{}))
		}},
		{"object without its table", 4, func(tx *store.Tx, _, cur cluster.Entry) {
			cur.Content, cur.PartCount, cur.Table = cluster.Link{}, 2, cluster.ObjectID{1}
			tx.Put(nameKey(tagHead, 1, "k", 0), promotedHead(appendEntry(nil, &cur), cluster.VersionID{}))
		}},
		{"table without object", 4, func(tx *store.Tx, _, _ cluster.Entry) { putTable(tx, 1, "k", cluster.ObjectID{7}, testParts()) }},
		{"part without upload", 5, func(tx *store.Tx, _, _ cluster.Entry) { tx.Delete(uploadKey(1, "k", id)) }},
		{"link held twice", 6, func(tx *store.Tx, old, _ cluster.Entry) {
			tx.Put(nameKey(tagHead, 1, "other", 0), promotedHead(appendEntry(nil, &old), cluster.VersionID{}))
		}},
		{"link queued and held", 6, func(tx *store.Tx, old, _ cluster.Entry) {
			g := garbage{kind: garbageLink, origin: originVersion, bucket: 1, id: old.Content.Object, key: "k", due: 1 << 50}
			tx.Put(garbageKey(old.Content.Server, cluster.VersionID{Generation: 1, Sequence: 1 << 40}), g.encode())
		}},
		{"bucket not indexed", 7, func(tx *store.Tx, _, _ cluster.Entry) { tx.Delete(ownerKey(5, "photos")) }},
		{"index without bucket", 7, func(tx *store.Tx, _, _ cluster.Entry) { tx.Put(ownerKey(5, "ghost"), indexValue) }},
		{"sealed, but not queued", 8, func(tx *store.Tx, _, _ cluster.Entry) { tx.Put(sealKey(1), seal{sealedEmpty, 1}.encode()) }},
		{"guard not indexed", 9, func(tx *store.Tx, _, _ cluster.Entry) {
			tx.Put(guardKey(cluster.Link{Server: 1, Object: cluster.ObjectID{5}}), guard{deadline: 1 << 50, bucket: 1, key: "k"}.encode())
		}},
		{"garbled head", 10, func(tx *store.Tx, _, _ cluster.Entry) { tx.Put(nameKey(tagHead, 1, "k", 0), []byte("x")) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			st := newSite(memfs.New())
			st.opts.GarbageDelay = time.Hour
			s, err := st.open(ctxb, false)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close(ctxb) }()
			s.seals.add(1)
			old, cur := put(t, st, s, 1, "k", cluster.VersioningEnabled), put(t, st, s, 1, "k", cluster.VersioningEnabled)
			_, err = s.CreateBucket(ctxb, cluster.Bucket{Name: "photos", ID: 1, Owner: 5, Created: when})
			if err := errors.Join(err, s.CreateUpload(ctxb, 1, cluster.Upload{ID: id, Key: "k", Initiated: when}),
				s.PutPart(ctxb, 1, "k", id, cluster.Part{Number: 1, Modified: when}), s.Check(ctxb)); err != nil {
				t.Fatal(err)
			}
			if err := s.store.Update(ctxb, func(tx *store.Tx) error { tc.damage(tx, old, cur); return nil }); err != nil {
				t.Fatal(err)
			}
			err = s.Check(ctxb)
			if !errors.Is(err, fault.Corrupt) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("invariant %d:", tc.rule)) {
				t.Errorf("got %v, want invariant %d", err, tc.rule)
			}
		})
	}
}

// TestDescribe describes every entry of a store that holds one of each kind.
func TestDescribe(t *testing.T) {
	t.Parallel()
	f := formats()
	link := cluster.Link{Server: 1, Object: cluster.ObjectID{1}}
	for _, tc := range []struct {
		key   []byte
		value string
		want  string
	}{
		{stringKey(tagBucket, "photos"), "bucket", `bucket "photos"`},
		{ownerKey(5, "photos"), "seal", `has bucket "photos"`},
		{guardKey(link), "guard", "guard of object 01"},
		{garbageKey(0, cluster.VersionID{Generation: 1}), "garbage", "garbage: table"},
		{stringKey(tagRecord, "/u/1"), "record", `record "/u/1" epoch 4`},
		{sealKey(3), "seal", "seal of bucket 0000000000000003, epoch 0, forced"},
		{sealKey(3), "seal-2", "bucket 0000000000000003 was opened again, epoch 7"},
		{nameKey(tagHead, 1, "k", 0), "head", `current "k"`},
		{versionKey(1, "k", cluster.VersionID{}), "entry", `noncurrent "k"`},
		{uploadKey(1, "k", cluster.UploadID{4}), "upload", "upload 04"},
		{partKey(1, "k", cluster.UploadID{4}, 10000), "part", "part 10000"},
		{chunkKey(1, "k", cluster.ObjectID{4}, 1, 0), "chunk", "parts 1 to 10000"},
	} {
		got, err := Describe(tc.key, f[tc.value].encoded)
		if err != nil || !strings.Contains(got, tc.want) {
			t.Errorf("got %q, %v; want it to contain %q", got, err, tc.want)
		}
	}
	if _, err := Describe([]byte("?"), nil); !errors.Is(err, fault.Corrupt) {
		t.Errorf("got %v, want %v", err, fault.Corrupt)
	}
}
