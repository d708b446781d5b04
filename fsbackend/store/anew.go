package store

import (
	"context"

	"ostor/internal/fault"
)

// Adopt makes a store that was opened with Options.Anew the service's own: it brings everything to the tree, so that what volatile keys stood for is elsewhere, and writes the manifest.
// That is the point of no return: before it the store counts for nothing, after it everything that earlier generations left does, but for files of other packages. Those are
// cleaned up by later generations.
func (s *Store) Adopt(ctx context.Context) error {
	if !s.opts.Anew {
		return fault.New(fault.Invalid, "store: adopt a store that was not opened anew")
	}
	if err := s.Checkpoint(ctx); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	m := Manifest{Generation: s.opts.Owner.Generation(), Home: s.home, First: 1}
	if err := m.write(s.opts.FS, s.opts.Dir); err != nil {
		err = fault.Wrap(openKind(err), err, "store: write the manifest of generation %d", m.Generation)
		s.fail(err)
		return err
	}
	return s.check()
}
