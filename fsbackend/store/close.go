package store

import (
	"context"

	"ostor/internal/logkey"
)

// Close refuses new updates, waits for those that run, makes a last checkpoint (unless the file system is full), and ends. After Close without error all I/O has ended well and the
// owner may leave a clean release. Snapshots must be closed before. When ctx ends first the checkpoint is given up, not the log: a later recovery reads more. Close may be
// called twice.
func (s *Store) Close(ctx context.Context) error {
	s.writer.Lock()
	again := s.closed
	s.closed = true
	s.writer.Unlock()
	if again {
		return s.Err()
	}
	if s.Err() == nil {
		if err := s.Checkpoint(ctx); err != nil && s.Err() == nil {
			s.log.Info("closed without a checkpoint", logkey.Error, err)
		}
	}
	s.ckpt.cancel()
	s.ckpt.wg.Wait()
	if err := s.redo.Close(context.WithoutCancel(ctx)); err != nil {
		s.fail(err)
	}
	s.pub.Lock()
	st := s.published
	s.published.tree = nil
	s.pub.Unlock()
	st.tree.release()
	s.live.release()
	if err := s.tree.Close(); err != nil {
		s.fail(err)
	}
	return s.Err()
}
