package rpc

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// Operations of the test service.
const (
	opEcho uint16 = iota + 1
	opFail
	opSum     // reads the body, replies with its length and SHA-256
	opSend    // sends as many bytes as the request says
	opWait    // waits for the end of its context
	opEarly   // fails without reading the body
	opSink    // reads 10 bytes of the body, then waits
	opDiscard // reads the body in pieces of 256 KiB
	opInfo    // replies with request id and whether there is a deadline
)

const testService, testGeneration = 0x0800000000000000, 7

// fixture is a server with the test service, and what its handlers saw.
type fixture struct {
	srv     *Server
	addr    string
	ended   chan error // of handlers that waited: the cause
	bodyErr chan error
	running atomic.Int64
	most    atomic.Int64
}

func newFixture(t testing.TB, network string, opts ServerOptions) *fixture {
	t.Helper()
	opts.HelloTimeout = cmp.Or(opts.HelloTimeout, 5*time.Minute) // as patient as the clients
	f := &fixture{srv: NewServer(opts), ended: make(chan error, 100), bodyErr: make(chan error, 100)}
	if err := f.srv.Register(Service{ID: testService, Generation: testGeneration, Handler: f.handle}); err != nil {
		t.Fatal(err)
	}
	addr := "tcp:127.0.0.1:0"
	if network == "unix" {
		addr = "unix:" + filepath.Join(t.TempDir(), "s")
	}
	l, err := Listen(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	f.addr = network + ":" + l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- f.srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = f.srv.Close(ctx)
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return f
}

func (f *fixture) client(t testing.TB, change ...func(*ClientOptions)) *Client {
	t.Helper()
	o := ClientOptions{Address: f.addr, Service: testService, Generation: testGeneration, DialTimeout: 5 * time.Minute} // a busy machine greets hundreds of connections slowly
	for _, c := range change {
		c(&o)
	}
	c := NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var zeroes [1 << 20]byte

func (f *fixture) handle(ctx context.Context, c *Call) error {
	n := f.running.Add(1)
	defer f.running.Add(-1)
	for m := f.most.Load(); n > m && !f.most.CompareAndSwap(m, n); m = f.most.Load() {
	}
	switch c.Op {
	case opEcho:
		c.Reply = append(c.Reply, c.Request...)
		return nil
	case opFail:
		return fmt.Errorf("scrub: %w", &fault.Corruption{File: "pool-03.1", Offset: 1 << 40, What: "block 7", Want: "crc 1", Got: "crc 2"})
	case opSum:
		h := sha256.New()
		n, err := io.Copy(h, c.Body())
		if err != nil {
			f.bodyErr <- err
			return err
		}
		c.Reply = fmt.Appendf(c.Reply, "%d %x", n, h.Sum(nil))
		return nil
	case opSend:
		var n, piece int
		if _, err := fmt.Sscan(string(c.Request), &n, &piece); err != nil {
			return fault.Wrap(fault.Invalid, err, "")
		}
		for n > 0 {
			k, err := c.Write(zeroes[:min(n, piece)])
			if err != nil {
				f.ended <- err
				return err
			}
			n -= k
		}
		return nil
	case opWait:
		<-ctx.Done()
		f.ended <- context.Cause(ctx)
		return ctx.Err()
	case opEarly:
		return fault.New(fault.NoSpace, "no room")
	case opSink:
		_, err := io.ReadFull(c.Body(), make([]byte, 10))
		f.bodyErr <- err
		_, err = io.Copy(io.Discard, c.Body())
		f.bodyErr <- err
		return err
	case opDiscard:
		buf := make([]byte, dataBytes)
		for {
			if _, err := c.Body().Read(buf); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	case opInfo:
		_, ok := ctx.Deadline()
		c.Reply = fmt.Appendf(c.Reply, "%x %x %t", c.RequestID, logkey.RequestIDOf(ctx), ok)
		return nil
	}
	return fault.New(fault.NotSupported, "operation %d", c.Op)
}

func both(t *testing.T, test func(t *testing.T, network string)) {
	for _, n := range []string{"unix", "tcp"} {
		t.Run(n, func(t *testing.T) { t.Parallel(); test(t, n) })
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, network string) {
		f := newFixture(t, network, ServerOptions{})
		c := f.client(t)
		for _, n := range []int{0, 1, 200, 16 << 10, 32<<10 - 36, 32 << 10, MaxFrameBytes - 4, MaxFrameBytes, 3*MaxFrameBytes + 5} {
			req := bytes.Repeat([]byte{byte(n)}, n)
			got, err := c.Call(t.Context(), opEcho, req, nil)
			if err != nil || !bytes.Equal(got, req) {
				t.Fatalf("%d bytes: got %d bytes, %v", n, len(got), err)
			}
		}
		if _, err := c.Call(t.Context(), opEcho, make([]byte, MaxMessageBytes), nil); !errors.Is(err, fault.TooLarge) {
			t.Errorf("oversize request: got %v", err)
		}
		if st := f.srv.Stats(); st.Conns != 1 {
			t.Errorf("%d connections for calls one after the other, want 1", st.Conns)
		}
		ctx, cancel := context.WithTimeout(logkey.WithRequestID(t.Context(), 0xabc), time.Minute)
		defer cancel()
		if got, err := c.Call(ctx, opInfo, nil, nil); err != nil || string(got) != "abc abc true" {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := c.Call(t.Context(), opInfo, nil, nil); err != nil || string(got) != "0 0 false" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "unix", ServerOptions{})
	c := f.client(t)
	_, err := c.Call(t.Context(), opFail, nil, nil)
	corr, ok := errors.AsType[*fault.Corruption](err)
	if !ok || *corr != (fault.Corruption{File: "pool-03.1", Offset: 1 << 40, What: "block 7", Want: "crc 1", Got: "crc 2"}) || fault.KindOf(err) != fault.Corrupt {
		t.Errorf("got %v (%#v)", err, corr)
	}
	if got, want := err.Error(), "scrub: corrupt: block 7 at pool-03.1+1099511627776: want crc 1, got crc 2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := c.Call(t.Context(), 999, nil, nil); !errors.Is(err, fault.NotSupported) || notExecuted(err) {
		t.Errorf("unknown operation: got %v", err)
	}
	for _, k := range []fault.Kind{fault.Other, fault.NotFound, fault.MethodNotAllowed, 999} {
		err := decodeError(k, appendError(nil, fault.New(k, "why")))
		if fault.KindOf(err) != k || err.Error() != "why" {
			t.Errorf("kind %d: got %v", k, err)
		}
	}
	if err := decodeError(fault.Denied, nil); err.Error() != "denied" {
		t.Errorf("empty payload: got %q", err)
	}
}

func notExecuted(err error) bool {
	r, ok := errors.AsType[refusal](err)
	return ok && r.NotExecuted()
}

func TestUploadDownload(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, network string) {
		f := newFixture(t, network, ServerOptions{})
		c := f.client(t)
		for _, n := range []int{0, 1, 4096, 16 << 10, dataBytes - 1, dataBytes, dataBytes + 1, 3 << 20} {
			data := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
			want := fmt.Sprintf("%d %x", n, sha256.Sum256(data))
			for _, body := range []io.Reader{bytes.NewReader(data), iotestOneByte(bytes.NewReader(data), n)} {
				if got, err := c.Upload(t.Context(), opSum, nil, body, int64(n), nil); err != nil || string(got) != want {
					t.Fatalf("upload of %d: got %q, %v", n, got, err)
				}
			}
			if got, err := c.Upload(t.Context(), opSum, nil, bytes.NewReader(data), -1, nil); err != nil || string(got) != want {
				t.Fatalf("upload of %d, size unknown: got %q, %v", n, got, err)
			}
			for _, piece := range []int{1000, 64 << 10, 1 << 20} {
				var w counter
				if _, err := c.Download(t.Context(), opSend, fmt.Appendf(nil, "%d %d", n, piece), &w, nil); err != nil || int(w) != n {
					t.Fatalf("download of %d in pieces of %d: got %d, %v", n, piece, w, err)
				}
			}
		}
		if st := f.srv.Stats(); st.Conns != 1 {
			t.Errorf("%d connections, want 1: streams that end well leave theirs in order", st.Conns)
		}
	})
}

// iotestOneByte reads in odd pieces, as a network does; whole for large bodies, for speed.
func iotestOneByte(r io.Reader, n int) io.Reader { return &oddReader{r: r, max: n/7 + 1} }

type oddReader struct {
	r   io.Reader
	max int
}

func (o *oddReader) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), o.max)]) }

type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

var errBody = errors.New("the client's reader broke")

type brokenReader struct{ left int }

func (b *brokenReader) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errBody
	}
	n := min(len(p), b.left)
	b.left -= n
	return n, nil
}

func TestBodyFails(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, network string) {
		f := newFixture(t, network, ServerOptions{})
		c := f.client(t)
		for _, n := range []int{0, 100, dataBytes, dataBytes + 77, 5 * dataBytes} {
			_, err := c.Upload(t.Context(), opSum, nil, &brokenReader{n}, int64(n)+1, nil)
			if !errors.Is(err, errBody) {
				t.Fatalf("after %d bytes: got %v", n, err)
			}
			if err := <-f.bodyErr; !errors.Is(err, fault.Truncated) {
				t.Fatalf("after %d bytes: the handler saw %v, want fault.Truncated", n, err)
			}
		}
	})
}

func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, network string) {
		f := newFixture(t, network, ServerOptions{})
		c := f.client(t)
		for _, n := range []int{10, 100 << 10, 64 << 20} {
			_, err := c.Upload(t.Context(), opEarly, nil, io.LimitReader(zeroReader{}, int64(n)), int64(n), nil)
			if !errors.Is(err, fault.NoSpace) || notExecuted(err) {
				t.Errorf("body of %d: got %v, want the handler's error", n, err)
			}
		}
		if _, err := c.Call(t.Context(), opEcho, nil, nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { return len(p), nil }

func TestCancel(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, network string) {
		f := newFixture(t, network, ServerOptions{})
		c := f.client(t)
		t.Run("unary", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for f.running.Load() == 0 {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			if _, err := c.Call(ctx, opWait, nil, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if err := <-f.ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the handler's context ended with %v", err)
			}
		})
		t.Run("deadline", func(t *testing.T) {
			for wait := 50 * time.Millisecond; ; wait *= 2 { // until it is enough to reach the handler
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				before := f.srv.Stats().Calls
				_, err := c.Call(ctx, opWait, nil, nil)
				cancel()
				if fault.KindOf(err) != fault.Unavailable {
					t.Errorf("got %v", err)
				}
				if f.srv.Stats().Calls > before {
					<-f.ended
					return
				}
			}
		})
		t.Run("upload", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			r, w := io.Pipe()
			go func() {
				_, _ = w.Write(make([]byte, 2*dataBytes))
				<-f.bodyErr // the handler has read something
				cancel()
				_ = w.CloseWithError(errBody) // the reader's owner lets it go
			}()
			_, err := c.Upload(ctx, opSink, nil, r, -1, nil)
			if !errors.Is(err, context.Canceled) && !errors.Is(err, errBody) {
				t.Errorf("got %v", err)
			}
			if err := <-f.bodyErr; !errors.Is(err, fault.Truncated) {
				t.Errorf("the handler's body ended with %v", err)
			}
		})
		t.Run("download", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := c.Download(ctx, opSend, fmt.Appendf(nil, "%d %d", 1<<40, 1<<20), writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }), nil)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			<-f.ended
		})
		t.Run("writer fails", func(t *testing.T) {
			_, err := c.Download(t.Context(), opSend, fmt.Appendf(nil, "%d %d", 1<<40, 1<<20), writerFunc(func([]byte) (int, error) { return 0, errBody }), nil)
			if !errors.Is(err, errBody) {
				t.Errorf("got %v", err)
			}
			<-f.ended
		})
		if _, err := c.Call(t.Context(), opEcho, nil, nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestGenerations(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "tcp", ServerOptions{})
	for _, g := range []uint64{testGeneration - 1, testGeneration + 1} {
		c := f.client(t, func(o *ClientOptions) { o.Generation = g })
		_, err := c.Call(t.Context(), opEcho, nil, nil)
		if !errors.Is(err, fault.Stale) || !notExecuted(err) {
			t.Errorf("generation %d: got %v", g, err)
		}
		if want := max(g, testGeneration); c.Highest() != want {
			t.Errorf("generation %d: the client remembers %d, want %d", g, c.Highest(), want)
		}
	}
	c := f.client(t, func(o *ClientOptions) { o.Service = 5 })
	if _, err := c.Call(t.Context(), opEcho, nil, nil); !errors.Is(err, fault.Stale) || !notExecuted(err) {
		t.Errorf("other service: got %v", err)
	}
	// A service that is replaced on the same server: the old client is refused, at the latest on a new connection.
	c = f.client(t)
	if _, err := c.Call(t.Context(), opEcho, nil, nil); err != nil {
		t.Fatal(err)
	}
	f.srv.Unregister(testService)
	if err := f.srv.Register(Service{ID: testService, Generation: testGeneration + 1, Handler: f.handle}); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 3 { // the first may still find its connection closing
		_, err = c.Call(t.Context(), opEcho, nil, nil)
		if err == nil {
			t.Fatal("a replaced generation was served")
		}
	}
	if !errors.Is(err, fault.Stale) || !notExecuted(err) || c.Highest() != testGeneration+1 {
		t.Errorf("got %v, highest %d", err, c.Highest())
	}
	if err := f.srv.Register(Service{ID: testService}); !errors.Is(err, fault.Exists) {
		t.Errorf("registered twice: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"unix:" + filepath.Join(t.TempDir(), "none"), "tcp:127.0.0.1:1", "http://x", "unix:", ""} {
		_, err := Dial(t.Context(), ClientOptions{Address: addr, Service: 1, Generation: 1})
		if !errors.Is(err, fault.Unavailable) || !notExecuted(err) {
			t.Errorf("%q: got %v", addr, err)
		}
	}
}

func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "unix", ServerOptions{})
	c := f.client(t)
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() {
		for f.running.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if err := f.srv.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
	}()
	if _, err := c.Call(t.Context(), opWait, nil, nil); !errors.Is(err, fault.Unavailable) || notExecuted(err) {
		t.Errorf("cut off: got %v", err)
	}
	if _, err := c.Call(t.Context(), opEcho, nil, nil); !errors.Is(err, fault.Unavailable) || !notExecuted(err) {
		t.Errorf("closed: got %v", err)
	}
}

// A graceful Close lets what runs finish.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "tcp", ServerOptions{})
	c := f.client(t)
	r, w := io.Pipe()
	closed := make(chan error, 1)
	go func() {
		_, _ = w.Write(zeroes[:dataBytes]) // a whole message, so that the call begins
		for f.running.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		go func() { closed <- f.srv.Close(context.Background()) }()
		for !f.srv.isClosed() {
			time.Sleep(time.Millisecond)
		}
		_, _ = w.Write([]byte(" world"))
		_ = w.Close()
	}()
	want := fmt.Sprintf("%d %x", dataBytes+6, sha256.Sum256(append(zeroes[:dataBytes:dataBytes], " world"...)))
	if got, err := c.Upload(t.Context(), opSum, nil, r, -1, nil); err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "unix", ServerOptions{})
	c := f.client(t, func(o *ClientOptions) { o.MaxConns = 4 })
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 10 {
				if _, err := c.Upload(t.Context(), opSum, nil, bytes.NewReader(zeroes[:50000]), 50000, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := f.most.Load(); n > 4 {
		t.Errorf("%d calls at the same time, want at most 4", n)
	}
	// A call that finds no connection waits within its context.
	for range 4 {
		go func() { _, _ = c.Call(t.Context(), opWait, nil, nil) }()
	}
	for f.running.Load() < 4 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Call(ctx, opEcho, nil, nil); !errors.Is(err, context.DeadlineExceeded) || !notExecuted(err) {
		t.Errorf("got %v", err)
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "unix", ServerOptions{MaxConns: 2})
	c := f.client(t)
	for range 2 {
		go func() { _, _ = c.Call(t.Context(), opWait, nil, nil) }()
	}
	for f.running.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.Call(t.Context(), opEcho, nil, nil); !errors.Is(err, fault.Unavailable) || !notExecuted(err) {
		t.Errorf("got %v", err)
	}
	if f.srv.Stats().Refused == 0 {
		t.Error("a refusal is not counted")
	}
}

func TestThousandCalls(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, network string) {
		f := newFixture(t, network, ServerOptions{})
		c := f.client(t)
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				want := fmt.Appendf(nil, "call %d", i)
				for range 3 {
					got, err := c.Call(t.Context(), opEcho, want, nil)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("got %q, %v, want %q", got, err, want)
					}
				}
			})
		}
		wg.Wait()
	})
}

// A peer that sends nothing, or does not read, is cut off.
func TestSlowPeers(t *testing.T) {
	t.Parallel()
	short := 20 * time.Millisecond
	f := newFixture(t, "unix", ServerOptions{IOTimeout: short, StreamTimeout: short}) // a slow machine may say its hello late
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, "unix", ServerOptions{HelloTimeout: short})
		_, path, _ := splitAddress(f.addr)
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if n, err := nc.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("got %d, %v, want the end", n, err)
		}
	})
	t.Run("reader stops", func(t *testing.T) {
		t.Parallel()
		c := f.client(t)
		stop := make(chan struct{})
		go func() {
			err := <-f.ended // the handler's write failed
			if !timedOut(err) || !errors.Is(err, fault.Unavailable) {
				t.Errorf("the handler's write ended with %v", err)
			}
			close(stop)
		}()
		_, err := c.Download(t.Context(), opSend, fmt.Appendf(nil, "%d %d", 1<<30, 1<<20), writerFunc(func(p []byte) (int, error) { <-stop; return len(p), nil }), nil)
		if !errors.Is(err, fault.Unavailable) || timedOut(err) { // the server's error, sent into the frame that it could not finish, would be waited on as its rest
			t.Errorf("got %v, want the end of the connection", err)
		}
	})
	t.Run("writer stops", func(t *testing.T) {
		t.Parallel()
		c := f.client(t)
		r, w := io.Pipe()
		go func() {
			_, _ = w.Write(make([]byte, dataBytes))
			<-f.bodyErr
			if err := <-f.bodyErr; !errors.Is(err, fault.Truncated) || !timedOut(err) {
				t.Errorf("the handler's body ended with %v", err)
			}
			_ = w.Close()
		}()
		if _, err := c.Upload(t.Context(), opSink, nil, r, -1, nil); err == nil {
			t.Error("no error")
		}
	})
}
