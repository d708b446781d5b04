package gateway

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// deadlines is a reply whose connection remembers its deadlines.
type deadlines struct {
	http.ResponseWriter
	read, write time.Time
	sets        int
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; d.sets++; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; d.sets++; return nil }

func TestProgressExtendsDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d deadlines
		var p progress
		p.begin(&d)
		start := time.Now()
		if want := start.Add(stallTimeout); !d.read.Equal(want) || !d.write.Equal(want) {
			t.Fatalf("deadlines %v and %v, want %v", d.read, d.write, want)
		}
		// A trickle does not live for ever, however regular: 59 s of a byte per second extend nothing.
		for range 59 {
			time.Sleep(time.Second)
			p.add(1)
		}
		if !d.read.Equal(start.Add(stallTimeout)) {
			t.Errorf("a trickle moved the deadline to %v", d.read.Sub(start))
		}
		// An honest slow client does: 2 KiB per second for an hour.
		for range 3600 {
			time.Sleep(time.Second)
			p.add(2 << 10)
			if time.Now().After(d.read) && time.Since(start) > 2*stallTimeout {
				t.Fatalf("cut off after %v", time.Since(start))
			}
		}
		// A fast one sets the deadline once a second, not at each read.
		before := d.sets
		for range 1000 {
			p.add(1 << 20)
			time.Sleep(time.Millisecond)
		}
		if n := d.sets - before; n > 4 {
			t.Errorf("%d deadlines set in a second", n)
		}
		p.received()
		if !d.read.IsZero() || !d.write.Equal(time.Now().Add(stallTimeout+commitTimeout)) {
			t.Errorf("after the body: %v and %v", d.read, d.write)
		}
	})
}
