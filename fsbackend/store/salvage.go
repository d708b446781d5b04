package store

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/fsbackend/redolog"
	"ostor/internal/fault"
)

// Salvage calls fn for everything that was ever put and can still be read in the logs and tree files of generations below a given one, whatever is damaged between: old values and
// deleted keys, too, in no order that counts. It is for what never changes under its key and is known from elsewhere to be wanted. Slices are valid during the call. It returns how many
// files, records and pages could not be read; an error of fn ends it.
func Salvage(ctx context.Context, fsys fsbackend.FS, dir string, below uint64, fn func(key, value []byte) error) (lost int, err error) {
	gens, err := generations(fsys, dir)
	if err != nil {
		return 0, err
	}
	for _, g := range gens {
		if g >= below {
			continue
		}
		n, err := redolog.Salvage(fsys, fsbackend.GenerationDir(dir, g), g, func(r *redolog.Record) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			ops, err := decodeBatch(r.Payload)
			if err != nil {
				lost++
				return nil //nolint:nilerr // counted: nothing else can be done about it
			}
			for i := range ops {
				if !ops[i].deleted {
					if err := fn(ops[i].key, ops[i].value); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if lost += n; err != nil {
			return lost, err
		}
		if n, err = salvageTree(ctx, fsys, dir, g, fn); err != nil {
			return lost, err
		}
		lost += n
	}
	return lost, nil
}

func salvageTree(ctx context.Context, fsys fsbackend.FS, dir string, g uint64, fn func(key, value []byte) error) (lost int, err error) {
	names, err := fsys.List(fsbackend.GenerationDir(dir, g))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	for _, name := range names {
		number, ok := btree.ParseFileName(name)
		if !ok || !strings.HasPrefix(name, "tree-") {
			continue
		}
		var stop error
		err := btree.ScanFile(ctx, fsys, dir, g, number, func(p btree.PageInfo, entries []btree.PageEntry, err error) error {
			if err != nil {
				lost++
				return nil //nolint:nilerr // a damaged page costs what is in it
			}
			for i := range entries {
				if e := &entries[i]; p.Kind == "leaf" && e.Value != nil {
					if stop = fn(e.Key, e.Value); stop != nil {
						return stop
					}
				}
			}
			return nil
		})
		switch {
		case stop != nil:
			return lost, stop
		case ctx.Err() != nil:
			return lost, ctx.Err()
		case err != nil && fault.KindOf(err) != fault.Invalid:
			lost++
		}
	}
	return lost, nil
}
