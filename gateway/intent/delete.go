package intent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// DeleteBucket deletes a bucket, whose record b the caller has just read. Without force it must be empty: otherwise the bucket is as before and the error is fault.NotEmpty. Force gives up what is
// in it, from the first name server on. fault.NoBucket when it is gone, or another one of its name is there. After any other error the bucket is as before, or a [Finisher] makes it so;
// but a forced deletion goes on.
func (j *Journal) DeleteBucket(ctx context.Context, b cluster.Bucket, force bool) error {
	ctx, cancel := context.WithTimeout(ctx, AttemptTimeout)
	defer cancel()
	h, err := j.begin(ctx, Record{Op: DeleteBucket, Forced: force, Bucket: b.ID, Name: b.Name, Begun: time.Now()})
	if err != nil {
		return err
	}
	err = j.remove(ctx, b, force)
	if err != nil && fault.KindOf(err) != fault.NoBucket {
		if force {
			return err
		}
		gone, uerr := j.reopen(ctx, b.Name, b.ID)
		switch {
		case uerr != nil:
			j.log.Warn("a bucket stays closed until its deletion is undone", slog.String(logkey.Bucket, b.Name), slog.Any(logkey.Error, uerr))
			return err
		case gone && fault.KindOf(err) == fault.Unavailable:
			err = nil // the answer was lost, not the removal
		case gone:
			err = fault.New(fault.NoBucket, "bucket %s was deleted by another request", b.Name)
		}
	}
	j.end(ctx, h)
	return err
}

// remove seals the bucket on every name server and removes its record: the point of no return. It starts over when the record changed meanwhile.
func (j *Journal) remove(ctx context.Context, b cluster.Bucket, force bool) error {
	servers, err := j.topology.NameServers()
	if err != nil {
		return err
	}
	home, err := j.topology.NameServerOfBucket(b.Name)
	if err != nil {
		return err
	}
	for range tries {
		if err = sealAll(ctx, servers, b, force); err == nil {
			err = home.DeleteBucket(ctx, b.Name, b.ID, b.Epoch)
		}
		if fault.KindOf(err) != fault.Stale {
			return err
		}
		if b, err = sameBucket(ctx, home, b.Name, b.ID); err != nil {
			return err
		}
	}
	return fault.New(fault.Exists, "bucket %s is being changed by others", b.Name) // OperationAborted
}

func sealAll(ctx context.Context, servers []cluster.NameServer, b cluster.Bucket, force bool) error {
	for _, ns := range servers {
		if err := ns.SealBucket(ctx, b.ID, b.Epoch, force); err != nil {
			return err
		}
	}
	return nil
}

// reopen undoes an unfinished removal. It reports whether the bucket is gone: then nothing is opened.
func (j *Journal) reopen(ctx context.Context, name string, id cluster.BucketID) (gone bool, err error) {
	servers, err := j.topology.NameServers()
	if err != nil {
		return false, err
	}
	home, err := j.topology.NameServerOfBucket(name)
	if err != nil {
		return false, err
	}
	for range tries {
		b, err := sameBucket(ctx, home, name, id)
		if fault.KindOf(err) == fault.NoBucket {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		// A new epoch first: from here on no removal that counts on the present seals succeeds (invariant 3).
		switch _, err := home.UpdateBucket(ctx, b); fault.KindOf(err) {
		case fault.Stale, fault.NoBucket:
			continue
		default:
			if err != nil {
				return false, err
			}
		}
		var errs []error
		for _, ns := range servers {
			errs = append(errs, ns.UnsealBucket(ctx, id, b.Epoch)) // all that can be reached
		}
		return false, errors.Join(errs...)
	}
	return false, fault.New(fault.Exists, "bucket %s is being changed by others", name)
}

// sameBucket reads the record of a bucket; another bucket of its name is fault.NoBucket.
func sameBucket(ctx context.Context, home cluster.NameServer, name string, id cluster.BucketID) (cluster.Bucket, error) {
	b, err := home.GetBucket(ctx, name)
	if err == nil && b.ID != id {
		err = fault.New(fault.NoBucket, "bucket %s is another one now", name)
	}
	return b, err
}

// finish brings an operation that was left to its end.
func (j *Journal) finish(ctx context.Context, h held) error {
	ctx, cancel := context.WithTimeout(ctx, AttemptTimeout)
	defer cancel()
	h, err := j.claim(ctx, h)
	if err != nil {
		return err
	}
	if h.Forced {
		home, herr := j.topology.NameServerOfBucket(h.Name)
		if herr != nil {
			return herr
		}
		b, berr := sameBucket(ctx, home, h.Name, h.Bucket)
		if err = berr; err == nil {
			err = j.remove(ctx, b, true)
		}
		if fault.KindOf(err) == fault.NoBucket {
			err = nil
		}
	} else {
		_, err = j.reopen(ctx, h.Name, h.Bucket)
	}
	if err != nil {
		return fmt.Errorf("intent: deletion of bucket %s: %w", h.Name, err)
	}
	j.end(ctx, h)
	return nil
}
