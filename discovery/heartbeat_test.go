package discovery

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

func sampleHeartbeat() Heartbeat {
	return Heartbeat{Host: 0x1122334455667788, Boot: 3, Seq: 42, Wall: epochTime().UTC(), Hostname: "node1.example.com", Addresses: []string{"tcp:10.0.0.1:2530"},
		Running: []Running{
			{Service: ns0 + 1, Condition: Active, Uptime: 527 * time.Second, Restarts: 2, Address: "tcp:10.0.0.1:40001"},
			{Service: os0, Condition: Starting},
			{Service: os0 + 1, Condition: Failed, Restarts: 5},
		}}
}

func TestHeartbeatGolden(t *testing.T) {
	t.Parallel()
	full := sampleHeartbeat()
	bare := Heartbeat{Host: 1, Boot: 1, Seq: 1, Wall: epochTime().UTC(), Leaving: true}
	for name, h := range map[string]Heartbeat{"heartbeat": full, "heartbeat-bare": bare} {
		if got, err := DecodeHeartbeat(golden(t, name, h.Append(nil))); err != nil || !reflect.DeepEqual(got, h) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestHeartbeatRefusesDamage(t *testing.T) {
	t.Parallel()
	good := sampleHeartbeat()
	b := good.Append(nil)
	for i := range b {
		c := append([]byte{}, b...)
		c[i] ^= 1
		if _, err := DecodeHeartbeat(c); !errors.Is(err, fault.Corrupt) {
			t.Fatalf("byte %d changed: got %v", i, err)
		}
		if _, err := DecodeHeartbeat(b[:i]); !errors.Is(err, fault.Corrupt) {
			t.Fatalf("cut to %d bytes: got %v", i, err)
		}
	}
	for what, change := range map[string]func(*Heartbeat){
		"no host":      func(h *Heartbeat) { h.Host = 0 },
		"no number":    func(h *Heartbeat) { h.Seq = 0 },
		"a space":      func(h *Heartbeat) { h.Hostname = "a b" },
		"a line break": func(h *Heartbeat) { h.Running[0].Address = "tcp:a\nservice" },
		"order":        func(h *Heartbeat) { h.Running[1].Service = ns0 },
		"condition":    func(h *Heartbeat) { h.Running[0].Condition = "fine" },
	} {
		h := sampleHeartbeat()
		change(&h)
		if err := PublishHeartbeat(memfs.New(), h); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: published, %v", what, err)
		}
	}
}

func TestPublishHeartbeat(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	h := sampleHeartbeat()
	dir := heartbeatDir(h.Host)
	if err := makeDir(fsys, dir); err != nil {
		t.Fatal(err)
	}
	if err := createFile(fsys, dir+"/boot-1.abc", nil); err != nil { // a neighbour that must stay
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 9; seq++ {
		h.Seq = seq
		if err := PublishHeartbeat(fsys, h); err != nil {
			t.Fatal(err)
		}
	}
	if err := PublishHeartbeat(fsys, h); !errors.Is(err, fault.Exists) {
		t.Errorf("the same number twice: got %v", err)
	}
	names, err := fsys.List(dir)
	if want := "0000000007 0000000008 0000000009 boot-1.abc"; err != nil || strings.Join(names, " ") != want {
		t.Errorf("there are %v, %v; want %s", names, err, want)
	}
	after := fsys.CrashClone(memfs.Nothing)
	last, err := LastHeartbeat(after, h.Host)
	if err != nil || last != 9 {
		t.Fatalf("after a crash the last is %d, %v", last, err)
	}
	if got, err := ReadHeartbeat(after, h.Host, last); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ReadHeartbeat(after, h.Host, 1); !errors.Is(err, fault.NotFound) {
		t.Errorf("a removed one: got %v", err)
	}
	// Somebody else's heartbeat under our name is no sign of our life.
	if err := createFile(fsys, dir+"/"+fsbackend.GenerationName(10), h.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadHeartbeat(fsys, h.Host, 10); !errors.Is(err, fault.Corrupt) {
		t.Errorf("number 9 under the name 10: got %v", err)
	}
	if hosts, err := Hosts(fsys); err != nil || !reflect.DeepEqual(hosts, []cluster.HostID{h.Host}) {
		t.Errorf("hosts %v, %v", hosts, err)
	}
}

// reseal gives a record of text a right checksum, so that fuzzing gets beyond it.
func reseal(b []byte) {
	if n := len(b) - len("crc32c 00000000\n"); n > 0 {
		copy(b[n:], fmt.Sprintf("crc32c %08x\n", checksum.CRC32C(b[:n])))
	}
}

func FuzzHeartbeat(f *testing.F) {
	h := sampleHeartbeat()
	f.Add(h.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		reseal(b)
		h, err := DecodeHeartbeat(b)
		if err == nil && string(h.Append(nil)) != string(b) {
			t.Fatalf("%q decodes, and encodes to %q", b, h.Append(nil))
		}
		if err != nil && !errors.Is(err, fault.Corrupt) {
			t.Fatalf("kind %v: %v", fault.KindOf(err), err)
		}
	})
}
