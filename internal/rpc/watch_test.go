package rpc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestNoLookOutAfterAnswer: a handler answers before it has read its body, the rest is drained, and the connection is used again. Nobody may look out on it meanwhile: two goroutines
// that read one connection tore frames apart, and in one run of integration/sim ended the process with a slice out of bounds.
func TestNoLookOutAfterAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{srv: NewServer(ServerOptions{}), ended: make(chan error, 100), bodyErr: make(chan error, 100)}
		if err := f.srv.Register(Service{ID: testService, Generation: testGeneration, Handler: f.handle}); err != nil {
			t.Fatal(err)
		}
		dials := 0
		c := f.client(t, func(o *ClientOptions) {
			o.MaxConns = 1
			o.Dial = func(context.Context, string) (net.Conn, error) {
				dials++
				here, there := net.Pipe()
				f.srv.start(there)
				return here, nil
			}
		})
		for i := range 5 {
			body := bytes.Repeat([]byte("x"), 100)
			if _, err := c.Upload(t.Context(), opEarly, nil, bytes.NewReader(body), int64(len(body)), nil); err == nil {
				t.Fatal("no error from a handler that refuses")
			}
			time.Sleep(10 * watchAfter)
			began := time.Now()
			want := fmt.Sprintf("%d %x", len(zeroes), sha256.Sum256(zeroes[:]))
			got, err := c.Upload(t.Context(), opSum, nil, bytes.NewReader(zeroes[:]), -1, nil)
			if err != nil || string(got) != want {
				t.Fatalf("upload %d after an early answer: got %q, %v, want %q", i, got, err, want)
			}
			if took := time.Since(began); took > time.Second {
				t.Fatalf("upload %d after an early answer took %v", i, took)
			}
		}
		t.Logf("%d connections", dials)
		_ = c.Close()
		if err := f.srv.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
