package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ostor/fsbackend/btree"
	"ostor/internal/cluster"
	"ostor/internal/daemon"
)

// fixture is an ostor directory with one name server and one object server; stopped cleanly once, and then copied while both ran, as a power cut leaves it.
var fixture string

// fixtureLocal is the local directory of the host that ran the services: with a copy of it a command sees that they have ended, and waits for nothing.
var fixtureLocal string

func TestMain(m *testing.M) {
	code, err := func() (int, error) {
		tmp, err := os.MkdirTemp("", "ctl")
		if err != nil {
			return 1, err
		}
		defer func() { _ = os.RemoveAll(tmp) }()
		fixture, fixtureLocal = filepath.Join(tmp, "ostor"), filepath.Join(tmp, "local")
		if err := build(tmp); err != nil {
			return 1, err
		}
		return m.Run(), nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

const (
	etag     = "0123456789abcdef0123456789abcdef"
	nsID     = "0800000000000000"
	osID     = "1000000000000000"
	bigBytes = 200 << 10
)

func build(tmp string) error {
	ctx := context.Background()
	live := filepath.Join(tmp, "live")
	if err := os.Mkdir(live, 0o700); err != nil {
		return err
	}
	c := daemon.Config{Local: fixtureLocal, Run: filepath.Join(tmp, "run"), Profile: "safe", Names: 1, Objects: 1, Memtable: 4, Cache: 4, LogBytes: 16, RPC: "unix"}
	e, _, err := daemon.OpenEnv(c, live, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	v, err := daemon.InitVolume(e.FS, c)
	if err != nil {
		return err
	}
	for round := range 2 {
		topology, err := e.Topology(v)
		if err != nil {
			return err
		}
		o, err := daemon.StartObject(ctx, e, v.Objects()[0])
		if err != nil {
			return err
		}
		topology.SetLocalObject(o.ID, o.Bytes)
		n, err := daemon.StartName(ctx, e, v.Names[0], topology)
		if err != nil {
			return err
		}
		if err := fill(ctx, n, o, round); err != nil {
			return err
		}
		if round == 1 {
			if err := os.CopyFS(fixture, os.DirFS(live)); err != nil {
				return err
			}
		}
		if err := daemon.StopAll(ctx, []*daemon.Service{o, n}); err != nil {
			return err
		}
		_ = topology.Close()
	}
	return nil
}

// fill writes a bucket, small objects and a large one.
func fill(ctx context.Context, n, o *daemon.Service, round int) error {
	b := cluster.Bucket{Name: "photos", ID: 7, Owner: 9, Created: time.UnixMilli(1)}
	if round == 0 {
		if _, err := n.Name.CreateBucket(ctx, b); err != nil {
			return err
		}
	}
	for i := range 40 {
		size := 3000 + i
		if i == 0 {
			size = bigBytes
		}
		l := cluster.Link{Server: o.ID, Object: cluster.NewObjectID()}
		key := fmt.Sprintf("%d/pic \x01%02d", round, i)
		if err := n.Name.Guard(ctx, cluster.Guard{Bucket: b.ID, Key: key, Content: l, Timeout: time.Hour}); err != nil {
			return err
		}
		if _, err := o.Bytes.CreateObject(ctx, l.Object, int64(size), bytes.NewReader(bytes.Repeat([]byte{byte(i + 1)}, size))); err != nil {
			return err
		}
		if _, err := n.Name.CreateEntry(ctx, cluster.CreateEntryRequest{Bucket: b.ID, Entry: cluster.Entry{Key: key, Modified: time.UnixMilli(2), Size: int64(size), ETag: etag, Content: l}}); err != nil {
			return err
		}
	}
	return nil
}

// site returns a copy of the fixture.
func site(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ostor")
	if err := os.CopyFS(dir, os.DirFS(fixture)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// inspect runs the command. Its error is what exit code 1 stands for.
func inspect(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(append([]string{"inspect"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// one returns the file of a pattern below dir that has the most bytes.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(all) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return all[0]
}

func flip(t *testing.T, name string, off int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCleanDirectoryPasses(t *testing.T) {
	t.Parallel()
	dir := site(t)
	before := digest(t, dir)
	out, err := inspect(t, "check", dir)
	if err != nil {
		t.Fatalf("check: %v\n%s", err, out)
	}
	for _, want := range []string{"service id=" + nsID, "service id=" + osID, "results may be transient", "damages=0", "entries_in_tree="} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "unknown file") {
		t.Errorf("a file of ours is not known:\n%s", out)
	}
	if after := digest(t, dir); after != before {
		t.Error("check changed the directory")
	}
}

// digest is names, sizes and times of everything.
func digest(t *testing.T, dir string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err == nil {
			fmt.Fprintln(&s, p, st.Size(), st.ModTime().UnixNano(), st.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func TestDumpSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := site(t)
	out, err := inspect(t, "dump", dir)
	if err != nil {
		t.Fatalf("dump: %v", err)
	}
	for _, want := range []string{
		"manifest generation=1 home=1", "claim service=" + nsID + " generation=2", "release service=" + osID + " generation=1", "owner service=" + osID,
		"volume id=", "name-server id=" + nsID + " slots=4096", "object-server id=" + osID, "host id=", "secret text=",
		"segment home=", "record lsn=", `\x01`, `bucket \"photos\"`, "etag \\\"" + etag + "\\\"", "crc32c", "page id=", "type=leaf", "entry key=", "root slot=",
		"pool service=" + osID, "block number=0 object=", fmt.Sprintf("object_bytes=%d", bigBytes), "region 0 of",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("dump lacks %q", want)
		}
	}
	key, err := os.ReadFile(filepath.Join(dir, "control", "cluster.key"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, string(key)) || strings.Contains(out, fmt.Sprintf("%x", key)) || strings.Contains(out, fmt.Sprintf("%q", key)) {
		t.Error("dump shows the cluster key")
	}
}

func TestDumpJSONAndLimit(t *testing.T) {
	t.Parallel()
	dir := site(t)
	log := one(t, dir, "services/"+nsID+"/gen/*/log-*")
	out, err := inspect(t, "dump", "--json", "--limit", "5", log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 5 {
		t.Errorf("%d lines, want 5", len(lines))
	}
	for _, l := range lines {
		var v struct {
			Kind, File string
			Offset     *int64
		}
		if err := json.Unmarshal([]byte(l), &v); err != nil || v.Kind == "" || v.File != log || v.Offset == nil {
			t.Errorf("line %s: %v", l, err)
		}
	}
}

// TestFlippedByteIsFound flips one byte of each kind of file.
func TestFlippedByteIsFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		pattern string
		off     int64
		at      int64 // where it is told
		lone    bool  // a copy elsewhere tells too
	}{
		{"segment header", "services/" + nsID + "/gen/*/log-*", 20, 0, true},
		{"manifest", "services/" + nsID + "/gen/*/manifest", 30, 0, true},
		{"manifest of object server", "services/" + osID + "/gen/*/manifest", 60, 0, true},
		{"owner", "services/" + nsID + "/gen/*/owner", 40, 0, true},
		{"claim", "services/" + nsID + "/gen/*.claim", 30, 0, true},
		{"release", "services/" + osID + "/gen/*.release", 50, 0, true},
		{"first copy of a root", "services/" + nsID + "/gen/*/roots", 4096 + 40, 4096, true},
		{"second copy of a root", "services/" + nsID + "/gen/*/roots", 4096 + 2048 + 40, 4096 + 2048, true},
		{"system block", "services/" + osID + "/gen/*/pool-*", 100, 0, true},
		{"volume", "volumes/*/*", 3000, 0, true},
		{"id file", "services/" + nsID + "/volume", 16, 0, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := site(t)
			name := one(t, dir, tc.pattern)
			flip(t, name, tc.off)
			wantDamage(t, name, tc.at, dir, name)
			if !tc.lone {
				return
			}
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			lone := filepath.Join(t.TempDir(), filepath.Base(name))
			if err := os.WriteFile(lone, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if filepath.Dir(filepath.Dir(name)) != filepath.Join(dir, "volumes") { // whose file names say nothing elsewhere
				wantDamage(t, lone, tc.at, lone)
			} else if _, err := inspect(t, "check", lone); err == nil {
				t.Error("a damaged copy passes")
			}
		})
	}
}

// wantDamage checks paths and wants damage told at an offset of a file.
func wantDamage(t *testing.T, name string, off int64, paths ...string) {
	t.Helper()
	for _, p := range paths {
		out, err := inspect(t, "check", p)
		if err == nil {
			t.Errorf("check %s passes:\n%s", p, out)
			continue
		}
		if want := fmt.Sprintf("%s+%d DAMAGE ", name, off); !strings.Contains(out, want) {
			t.Errorf("check %s lacks %q:\n%s", p, want, out)
		}
	}
}

// place returns the offset of the first line of a dump that holds all words.
func place(t *testing.T, name string, words ...string) int64 {
	t.Helper()
	out, err := inspect(t, "dump", "--json", name)
	if err != nil {
		t.Fatal(err)
	}
next:
	for _, l := range strings.Split(out, "\n") {
		for _, w := range words {
			if !strings.Contains(l, w) {
				continue next
			}
		}
		var v struct{ Offset int64 }
		if err := json.Unmarshal([]byte(l), &v); err != nil {
			t.Fatal(err)
		}
		return v.Offset
	}
	t.Fatalf("dump of %s has no line with %q", name, words)
	return 0
}

func TestFlippedRecordIsFound(t *testing.T) {
	t.Parallel()
	for _, id := range []string{nsID, osID} {
		dir := site(t)
		name := one(t, dir, "services/"+id+"/gen/*/log-*")
		for _, l := range mustGlob(t, filepath.Join(dir, "services", id, "gen", "*", "log-*")) {
			if out, _ := inspect(t, "dump", l); strings.Count(out, " record ") > 10 {
				name = l
			}
		}
		off := place(t, name, `"kind":"record"`)
		flip(t, name, off+60)
		wantDamage(t, name, off, name)
	}
}

func mustGlob(t *testing.T, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFlippedPageIsFound(t *testing.T) {
	t.Parallel()
	for _, id := range []string{nsID, osID} {
		dir := site(t)
		name := one(t, dir, "services/"+id+"/gen/*/tree-*")
		off := place(t, name, `"type":"leaf"`)
		flip(t, name, off+btree.PageBytes-10)
		wantDamage(t, name, off, dir, filepath.Join(dir, "services", id), filepath.Dir(name), name)
	}
}

func TestFlippedPayloadIsFound(t *testing.T) {
	t.Parallel()
	dir := site(t)
	for _, name := range mustGlob(t, filepath.Join(dir, "services", osID, "gen", "*", "pool-*")) {
		off := place(t, name, `"kind":"block"`)
		flip(t, name, off+100)
		wantDamage(t, name, off, dir, name)
	}
}

func TestTruncatedFilesAreFound(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"services/" + nsID + "/gen/*/log-*", "services/" + nsID + "/gen/*/manifest", "services/" + nsID + "/gen/*/roots", "services/" + nsID + "/gen/*/tree-*",
		"services/" + osID + "/gen/*/pool-*", "services/" + nsID + "/gen/*/owner", "services/" + nsID + "/gen/*.claim", "volumes/*/*"} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			dir := site(t)
			name := one(t, dir, pattern)
			st, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int64{st.Size() - 1, st.Size() / 2, 50} {
				if strings.Contains(name, "pool-") && size > 50 {
					size = st.Size() / 2
				}
				if err := os.Truncate(name, size); err != nil {
					t.Fatal(err)
				}
				out, err := inspect(t, "check", dir)
				if err == nil || !strings.Contains(out, name+"+") || !strings.Contains(out, " DAMAGE ") {
					t.Errorf("truncated to %d bytes: %v\n%s", size, err, out)
				}
			}
		})
	}
}

func TestMissingFilesAreFound(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"services/" + nsID + "/gen/*/tree-*", "services/" + osID + "/gen/*/pool-*", "services/" + nsID + "/gen/0000000002/manifest"} {
		dir := site(t)
		name := one(t, dir, pattern)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if out, err := inspect(t, "check", dir); err == nil || !strings.Contains(out, "DAMAGE") {
			t.Errorf("without %s: %v\n%s", name, err, out)
		}
	}
}

func TestUnknownFilesAreTold(t *testing.T) {
	t.Parallel()
	dir := site(t)
	name := filepath.Join(dir, "services", nsID, "gen", "strange")
	if err := os.WriteFile(name, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := inspect(t, "check", dir)
	if err != nil || !strings.Contains(out, name+"+0 note text=\"unknown file") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check"}, {"dump", "/no/such/file"}, {"check", "--limit", "3", "."}} {
		if out, err := inspect(t, args...); err == nil || strings.Contains(out, "summary") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
