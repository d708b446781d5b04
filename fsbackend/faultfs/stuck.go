package faultfs

import "sync"

// Stuck holds operations that were issued and have not landed: what a lost connection to the storage does. They land in Release, whoever owns
// the file by then. A file closed meanwhile cannot be written any more: open it once more in the test where that matters, or keep it open.
type Stuck struct {
	Hang bool // the caller waits until Release; otherwise it gets the rule's error at once

	mu   sync.Mutex
	held []*heldOp
	more chan struct{} // closed when an operation gets stuck
}

type heldOp struct {
	land func() error
	done chan error
}

// hold keeps the operation until Release.
func (s *Stuck) hold(_ *Rule, failure error, land func() error) error {
	op := &heldOp{land: land, done: make(chan error, 1)}
	s.mu.Lock()
	s.held = append(s.held, op)
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
	s.mu.Unlock()
	if !s.Hang {
		return failure
	}
	return <-op.done
}

// Held returns how many operations are stuck now.
func (s *Stuck) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held)
}

// Wait returns when at least n operations are stuck.
func (s *Stuck) Wait(n int) {
	for {
		s.mu.Lock()
		if len(s.held) >= n {
			s.mu.Unlock()
			return
		}
		if s.more == nil {
			s.more = make(chan struct{})
		}
		more := s.more
		s.mu.Unlock()
		<-more
	}
}

// Release lets everything that is stuck land, in the order of issue, and returns the errors of that, one per operation. Callers that hang go on.
func (s *Stuck) Release() []error {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	errs := make([]error, len(held))
	for i, op := range held {
		errs[i] = op.land()
		op.done <- errs[i]
	}
	return errs
}

// Drop forgets everything that is stuck: it never lands. Callers that hang get err.
func (s *Stuck) Drop(err error) {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	for _, op := range held {
		op.done <- err
	}
}
