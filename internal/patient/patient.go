// Package patient has the locks of those who hold them while they wait: for the mount, for another service, for room.
//
// They are those of package sync but for one thing: who waits for one is durably blocked in the sense of testing/synctest. So simulated time goes on while a
// holder's I/O is stuck, and whole clusters can be simulated with their real locks; with a sync.Mutex a bubble's clock would stand still until the holder is done, and that for ever.
// Without contention they cost one atomic load more. Locks that are held for moments only are better those of package sync.
package patient

import (
	"sync"
	"sync/atomic"
)

// Mutex is a sync.Mutex. The zero value is unlocked. It must not be copied after use.
type Mutex struct {
	mu   sync.Mutex
	wait queue
}

// queue is where those wait who did not get a lock.
type queue struct {
	n    atomic.Int32 // who wait, or are about to
	mu   sync.Mutex
	cond *sync.Cond // with mu; nil until somebody waits
}

// until waits until try returns true. It is asked again after each wake.
func (q *queue) until(try func() bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cond == nil {
		q.cond = sync.NewCond(&q.mu)
	}
	// Counted before the look: either the look finds the lock free, or whoever frees it finds the count.
	q.n.Add(1)
	defer q.n.Add(-1)
	for !try() {
		q.cond.Wait()
	}
}

// wake makes those who wait look again.
func (q *queue) wake(all bool) {
	if q.n.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.cond == nil: // the first is about to look for the first time
	case all:
		q.cond.Broadcast()
	default:
		q.cond.Signal()
	}
}

// Lock locks m.
func (m *Mutex) Lock() {
	if !m.mu.TryLock() {
		m.wait.until(m.mu.TryLock)
	}
}

// TryLock locks m if it is free, and reports whether it did.
func (m *Mutex) TryLock() bool { return m.mu.TryLock() }

// Unlock unlocks m, which must be locked.
func (m *Mutex) Unlock() {
	m.mu.Unlock()
	m.wait.wake(false)
}

// RWMutex is a sync.RWMutex: who waits for Lock keeps new readers out. The zero value is unlocked. It must not be copied after use.
type RWMutex struct {
	mu      sync.RWMutex
	writers atomic.Int32 // who wait for Lock
	wait    queue
}

// Lock locks m for writing.
func (m *RWMutex) Lock() {
	m.writers.Add(1)
	if !m.mu.TryLock() {
		m.wait.until(m.mu.TryLock)
	}
	m.writers.Add(-1)
}

// Unlock undoes Lock.
func (m *RWMutex) Unlock() {
	m.mu.Unlock()
	m.wait.wake(true)
}

// TryRLock locks m for reading if nobody has it, or waits for it, for writing.
func (m *RWMutex) TryRLock() bool { return m.writers.Load() == 0 && m.mu.TryRLock() }

// RLock locks m for reading.
func (m *RWMutex) RLock() {
	if !m.TryRLock() {
		m.wait.until(m.TryRLock)
	}
}

// RUnlock undoes one RLock.
func (m *RWMutex) RUnlock() {
	m.mu.RUnlock()
	m.wait.wake(true)
}
