package gateway

import (
	"testing"
	"testing/synctest"

	"ostor/internal/fault"
)

// TestBucketTurns lets one change of a bucket wait for another, and give up when that one does not end.
func TestBucketTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newBucketTurns()
		end, err := turns.take(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := turns.take(t.Context(), 8); err != nil {
			t.Errorf("another bucket waits: %v", err)
		} else {
			other()
		}
		second := make(chan error, 1)
		go func() {
			end, err := turns.take(t.Context(), 7)
			if err == nil {
				end()
			}
			second <- err
		}()
		synctest.Wait()
		if len(second) > 0 {
			t.Error("the second change did not wait")
		}
		end()
		if err := <-second; err != nil {
			t.Error(err)
		}
		end, err = turns.take(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		if _, err := turns.take(t.Context(), 7); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("waiting for ever: %v", err)
		}
	})
}
