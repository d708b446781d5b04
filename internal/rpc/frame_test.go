package rpc

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ostor/internal/fault"
)

// Golden bytes: PROTOCOL.md, a request with id 0xabc, and the hello of service 0x08.. with highest generation 9.
func TestGoldenHeader(t *testing.T) {
	t.Parallel()
	h := header{kind: typeRequest, flags: flagBody, code: 28, length: 300, request: 0xabc, generation: 7}
	var b [headerBytes]byte
	h.put(&b)
	const want = "4f5201030100" + "1c00" + "2c010000" + "2d3bda43" + "bc0a000000000000" + "0700000000000000"
	if got := hex.EncodeToString(b[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got, _, err := decodeHeader(&b)
	if err != nil || got != h {
		t.Errorf("got %+v, %v, want %+v", got, err, h)
	}
}

func FuzzHeader(f *testing.F) {
	var b [headerBytes]byte
	h := header{kind: typeData, flags: flagEnd, length: 10}
	h.put(&b)
	f.Add(b[:])
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < headerBytes {
			return
		}
		b := (*[headerBytes]byte)(in)
		h, _, err := decodeHeader(b)
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatalf("kind %v", fault.KindOf(err))
			}
			return
		}
		var again [headerBytes]byte
		crc := h.crc
		h.put(&again)
		binary.LittleEndian.PutUint32(again[12:], crc)
		if again != *b {
			t.Fatalf("%x decodes, and encodes to %x", b[:], again[:])
		}
	})
}

func FuzzError(f *testing.F) {
	f.Add(uint16(7), appendError(nil, &fault.Corruption{File: "f", Offset: 3, What: "w", Want: "x", Got: "y"}))
	f.Fuzz(func(t *testing.T, kind uint16, b []byte) {
		if err := decodeError(fault.Kind(kind), b); fault.KindOf(err) != fault.Kind(kind) {
			t.Fatalf("kind %d became %v", kind, err)
		}
	})
}

// FuzzServer feeds arbitrary bytes to a connection after a good hello: the server answers, or closes, and never hangs or panics.
func FuzzServer(f *testing.F) {
	frame := func(h header, payload string) []byte {
		h.length = uint32(len(payload))
		h.generation = testGeneration
		var b [headerBytes]byte
		h.put(&b)
		return append(b[:], payload...)
	}
	f.Add(frame(header{kind: typePing}, ""))
	f.Add(frame(header{kind: typeRequest, code: opEcho}, "\x00\x00\x00\x00hello"))
	f.Add(append(frame(header{kind: typeRequest, code: opSum, flags: flagBody}, "\x00\x00\x00\x00"), frame(header{kind: typeData, flags: flagEnd}, "data")...))
	f.Add(append(frame(header{kind: typeRequest, code: opSum, flags: flagBody}, "\x00\x00\x00\x00"), frame(header{kind: typeAbort}, "no")...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewServer(ServerOptions{})
		fx := &fixture{ended: make(chan error, 9), bodyErr: make(chan error, 9)}
		if err := s.Register(Service{ID: testService, Generation: testGeneration, Handler: fx.handle}); err != nil {
			t.Fatal(err)
		}
		if len(b) > headerBytes && binary.LittleEndian.Uint16(b[6:]) != opEcho && binary.LittleEndian.Uint16(b[6:]) != opSum {
			return // the others wait or send without end
		}
		client, server := net.Pipe()
		s.start(server)
		go func() {
			_, _ = io.Copy(io.Discard, client)
		}()
		_ = client.SetWriteDeadline(time.Now().Add(5 * time.Second))
		hello := make([]byte, helloBytes)
		binary.LittleEndian.PutUint64(hello, testService)
		_, _ = client.Write(frame(header{kind: typeHello}, string(hello)))
		_, _ = client.Write(b)
		_ = client.Close()
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// What a peer sends that is no frame is refused with a typed error, and ends that connection only.
func TestBadFrames(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "unix", ServerOptions{IOTimeout: time.Minute}) // no case waits for it
	_, path, _ := splitAddress(f.addr)
	good := f.client(t)
	if err := good.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	make32 := func(h header, change func(b []byte)) []byte {
		var b [headerBytes]byte
		h.generation = testGeneration
		h.put(&b)
		if change != nil {
			change(b[:])
		}
		return b[:]
	}
	tests := []struct {
		name  string
		hello bool
		send  []byte
		close bool // half-close after it: truncated
		want  fault.Kind
	}{
		{"HTTP", false, []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), false, fault.Invalid},
		{"request before hello", false, make32(header{kind: typeRequest}, nil), false, fault.Invalid},
		{"oversize", true, make32(header{kind: typeRequest, length: MaxFrameBytes + 1}, nil), false, fault.Invalid},
		{"4 GiB", true, make32(header{kind: typeRequest, length: 1<<32 - 1}, nil), false, fault.Invalid},
		{"unknown type", true, make32(header{kind: lastType + 1}, nil), false, fault.Invalid},
		{"type 0", true, make32(header{}, nil), false, fault.Invalid},
		{"unknown flag", true, make32(header{kind: typePing, flags: 0x80}, nil), false, fault.Invalid},
		{"unknown version", true, make32(header{kind: typePing}, func(b []byte) { b[2] = 2 }), false, fault.Invalid},
		{"damaged", true, make32(header{kind: typePing}, func(b []byte) { b[20] ^= 1 }), false, fault.Invalid},
		{"damaged payload", true, append(make32(header{kind: typeRequest, flags: flagPayloadCRC, length: 4}, nil), 1, 0, 0, 0), false, fault.Invalid},
		{"data without request", true, make32(header{kind: typeData, flags: flagEnd}, nil), false, fault.Invalid},
		{"request without deadline", true, make32(header{kind: typeRequest}, nil), false, fault.Invalid},
		{"request within body", true, bytes.Join([][]byte{make32(header{kind: typeRequest, code: opSum, flags: flagBody, length: 4}, nil), {0, 0, 0, 0}, make32(header{kind: typeRequest}, nil)}, nil), false, fault.Invalid},
		{"endless message", true, append(make32(header{kind: typeRequest, flags: flagMore, length: 4}, nil), append([]byte{0, 0, 0, 0}, make32(header{kind: typeReply}, nil)...)...), false, fault.Invalid},
		{"wrong generation", true, append(make32(header{kind: typeRequest, length: 4}, func(b []byte) {
			h := header{kind: typeRequest, length: 4, generation: testGeneration - 1}
			h.put((*[headerBytes]byte)(b))
		}), 0, 0, 0, 0), false, fault.Stale},
		{"truncated header", true, make32(header{kind: typePing}, nil)[:20], true, fault.Other},
		{"truncated payload", true, append(make32(header{kind: typeRequest, length: 100}, nil), 1, 2, 3), true, fault.Other},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			nc, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			c := newConn(nc)
			defer c.close()
			c.readWithin(time.Minute)
			if tc.hello {
				var b [helloBytes]byte
				binary.LittleEndian.PutUint64(b[:], testService)
				if err := errors.Join(c.send(header{kind: typeHello, generation: testGeneration}, nil, b[:]), c.flush()); err != nil {
					t.Fatal(err)
				}
				if h, _, err := c.receive(); err != nil || h.kind != typeWelcome {
					t.Fatalf("hello: got %+v, %v", h, err)
				}
			}
			if _, err := nc.Write(tc.send); err != nil {
				t.Fatal(err)
			}
			if tc.close {
				_ = nc.(*net.UnixConn).CloseWrite()
			}
			if tc.want != fault.Other {
				h, sum, err := c.receive()
				if err != nil || h.kind != typeError {
					t.Fatalf("got %+v, %v, want an error frame", h, err)
				}
				b, err := c.payload(nil, h, sum)
				if err != nil || fault.Kind(h.code) != tc.want {
					t.Fatalf("got kind %v %q, want %v", fault.Kind(h.code), b, tc.want)
				}
			}
			if _, _, err := c.receive(); err != io.EOF {
				t.Errorf("got %v, want the end of the connection", err)
			}
			if _, err := good.Call(t.Context(), opEcho, []byte("x"), nil); err != nil {
				t.Errorf("another connection: %v", err)
			}
		})
	}
}

func BenchmarkCall(b *testing.B) {
	for _, network := range []string{"unix", "tcp"} {
		b.Run(network, func(b *testing.B) {
			c := newFixture(b, network, ServerOptions{}).client(b)
			req, reply := make([]byte, 200), []byte(nil)
			cpu := cpuTime(b)
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if reply, err = c.Call(b.Context(), opEcho, req, reply); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N)/1e3, "cpu-us/op")
		})
	}
}

func BenchmarkStream(b *testing.B) {
	const n = 64 << 20
	for _, network := range []string{"unix", "tcp"} {
		for _, up := range []bool{true, false} {
			b.Run(map[bool]string{true: "up/", false: "down/"}[up]+network, func(b *testing.B) {
				c := newFixture(b, network, ServerOptions{}).client(b)
				cpu := cpuTime(b)
				b.SetBytes(n)
				b.ReportAllocs()
				for b.Loop() {
					var err error
					if up {
						_, err = c.Upload(b.Context(), opDiscard, nil, io.LimitReader(zeroReader{}, n), n, nil)
					} else {
						_, err = c.Download(b.Context(), opSend, []byte("67108864 1048576"), io.Discard, nil)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric((cpuTime(b)-cpu).Seconds()/float64(b.N)/n*(1<<30), "cpu-s/GiB")
			})
		}
	}
}

// cpuTime is what the process has used so far: both ends.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
