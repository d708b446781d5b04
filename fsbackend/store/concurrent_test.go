package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ostor/internal/fault"
)

// TestConcurrent lets writers move amounts between accounts while readers add them up, through many checkpoints: every reader sees one consistent, durable state, and never an older
// one than before.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	o := smallOptions(newFS(t), &owner{generation: 1})
	o.MemtableBytes = 16 << 10
	s := mustOpen(t, o)
	const accounts, writers, moves = 20, 8, 150
	key := func(i int) []byte { return fmt.Appendf(nil, "account%03d", i) }
	amount := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	mustUpdate(t, s, func(tx *Tx) error {
		for i := range accounts {
			tx.Put(key(i), amount(1000))
		}
		return nil
	})
	var work, readers sync.WaitGroup
	var stop atomic.Bool
	for range 3 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			var last uint64
			for !stop.Load() {
				err := s.View(func(sn *Snapshot) error {
					if sn.LSN() < last {
						return fmt.Errorf("LSN %d after %d", sn.LSN(), last)
					}
					last = sn.LSN()
					var sum uint64
					it := sn.Iter([]byte("account"), []byte("accounu"))
					defer it.Close()
					for it.Next() {
						sum += binary.BigEndian.Uint64(it.Value())
					}
					if sum != accounts*1000 {
						return fmt.Errorf("LSN %d: the sum is %d", sn.LSN(), sum)
					}
					return it.Err()
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	for w := range writers {
		work.Add(1)
		go func() {
			defer work.Done()
			for i := 0; i < moves || s.Stats().Checkpoints < 3; i++ { // the checkpoints come beside them
				from, to := (w+i)%accounts, (w*7+i*3+1)%accounts
				err := s.Update(context.Background(), func(tx *Tx) error {
					a, _, err := tx.Get(key(from))
					if err != nil {
						return err
					}
					b, _, err := tx.Get(key(to))
					if err != nil || from == to {
						return err
					}
					tx.Put(key(from), amount(binary.BigEndian.Uint64(a)-1))
					tx.Put(key(to), amount(binary.BigEndian.Uint64(b)+1))
					tx.Put(fmt.Appendf(nil, "log/%d/%d", w, i), make([]byte, 100))
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				if own := fmt.Appendf(nil, "log/%d/%d", w, i); from != to { // what was acknowledged is seen at once
					err := s.View(func(sn *Snapshot) error {
						if _, ok, err := sn.Get(own); !ok {
							return fmt.Errorf("%s is not there: %w", own, errors.Join(err, fault.Internal))
						}
						return nil
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			}
		}()
	}
	work.Wait()
	stop.Store(true)
	readers.Wait()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Checkpoints < 3 || st.Log.Commits > st.Updates {
		t.Errorf("too few checkpoints or too many commits: %+v", st)
	}
	mustClose(t, s)
}

// TestSnapshotStays: a snapshot shows the same through later updates and checkpoints.
func TestSnapshotStays(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, smallOptions(newFS(t), &owner{generation: 1}))
	mustUpdate(t, s, put("a", "1"))
	mustUpdate(t, s, put("!v", "volatile"))
	sn := s.Snapshot()
	defer sn.Close()
	for i := range 5 {
		mustUpdate(t, s, put("a", fmt.Sprint(i+2)))
		mustUpdate(t, s, func(tx *Tx) error { tx.Delete([]byte("!v")); return nil })
		if err := s.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		for k, want := range map[string]string{"a": "1", "!v": "volatile"} {
			if v, ok, err := sn.Get([]byte(k)); string(v) != want || !ok || err != nil {
				t.Errorf("%q: got %q, %v, %v", k, v, ok, err)
			}
		}
	}
	sn.Close()
	mustClose(t, s)
}

// TestFullLogWaits: when the log is at its bound, writers wait for the checkpoint that empties it, which must not need what they hold.
func TestFullLogWaits(t *testing.T) {
	t.Parallel()
	o := smallOptions(newFS(t), &owner{generation: 1})
	o.SegmentBytes, o.LogBytes, o.MemtableBytes = 16<<10, 64<<10, 64<<20
	var s *Store
	ready := make(chan struct{})
	slow := true
	o.Sweep = func(ctx context.Context, _ uint64, _ iter.Seq2[[]byte, []byte]) error {
		<-ready
		for deadline := time.Now().Add(time.Minute); slow && s.Stats().Stalls == 0 && time.Now().Before(deadline); {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		slow = false
		return nil
	}
	s = mustOpen(t, o)
	close(ready)
	want := map[string]string{}
	for i := range 200 {
		k, v := fmt.Sprintf("key%d", i), fmt.Sprintf("%04000d", i)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		if err := s.Update(ctx, put(k, v)); err != nil {
			t.Fatalf("update %d: %v, %+v", i, err, s.Stats())
		}
		cancel()
		want[k] = v
	}
	if s.Stats().Stalls == 0 {
		t.Error("no writer had to wait: the test tests nothing")
	}
	wantContents(t, s, want)
	mustClose(t, s)
}
