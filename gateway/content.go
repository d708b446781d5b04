package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// How long the steps of a write may take.
const (
	guardTimeout  = 24 * time.Hour   // enough for 5 GiB at 60 KiB a second; a slower client is told to start over
	commitTimeout = 60 * time.Second // of naming an object once its bytes are durable, whether or not the client still waits
	dropTimeout   = 10 * time.Second // of taking a guard back; a guard that stays expires by itself
	placeTries    = 3                // object servers tried for a body that is still in memory
)

// content is the place where the bytes of an object or part are going to be named.
type content struct {
	ns     cluster.NameServer
	bucket cluster.BucketID
	key    string
	part   int32 // 0 for an object
}

// storeBytes makes b durable under a guard and returns its link; the zero link for no bytes. An object server that is away is replaced by another.
func (g *Gateway) storeBytes(ctx context.Context, to content, b []byte) (cluster.Link, error) {
	if len(b) == 0 {
		return cluster.Link{}, nil
	}
	return g.elsewhere(ctx, func() bool { return true }, func() (cluster.Link, error) {
		return g.storeStream(ctx, to, int64(len(b)), bytes.NewReader(b))
	})
}

// elsewhere calls store again, which then chooses another object server, when one is away, for as long as the body can be sent again.
func (g *Gateway) elsewhere(ctx context.Context, again func() bool, store func() (cluster.Link, error)) (link cluster.Link, err error) {
	for range placeTries {
		link, err = store()
		if err == nil || !errors.Is(err, fault.Unavailable) || ctx.Err() != nil || !again() {
			break
		}
	}
	return link, err
}

// storeStream makes size bytes of body durable under a guard and returns the link; size >= 1. The guard and the bytes travel at the same time. When it returns an
// error, the guard is dropped and nothing is left that garbage collection would not free. body is not read after the return.
func (g *Gateway) storeStream(ctx context.Context, to content, size int64, body io.Reader) (cluster.Link, error) {
	server, err := g.topology.PlaceObject(to.bucket, to.key, to.part)
	if err != nil {
		return cluster.Link{}, fmt.Errorf("gateway: place object: %w", err)
	}
	os, err := g.topology.ObjectServer(server)
	if err != nil {
		return cluster.Link{}, fmt.Errorf("gateway: object server %s: %w", server, err)
	}
	link := cluster.Link{Server: server, Object: cluster.NewObjectID()}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	guarded := g.guardResult()
	go func() {
		err := to.ns.Guard(ctx, cluster.Guard{Bucket: to.bucket, Key: to.key, Content: link, Timeout: guardTimeout})
		if err != nil {
			cancel() // bytes that nobody will name need not be sent
		}
		guarded <- err
	}()
	_, err = os.CreateObject(ctx, link.Object, size, body)
	guardErr := <-guarded
	g.guardResults.Put(guarded)
	switch {
	case guardErr != nil:
		g.discard(ctx, to, link)
		return cluster.Link{}, fmt.Errorf("gateway: guard: %w", guardErr)
	case err != nil:
		g.dropGuard(ctx, to, link)
		return cluster.Link{}, fmt.Errorf("gateway: store object %s on %s: %w", link.Object, server, err)
	}
	return link, nil
}

// guardResult returns a channel of one element, which is empty.
func (g *Gateway) guardResult() chan error {
	if c, ok := g.guardResults.Get().(chan error); ok {
		return c
	}
	return make(chan error, 1)
}

// dropGuard tells the name server that link will not be named. It matters only for space: an unanswered guard expires.
func (g *Gateway) dropGuard(ctx context.Context, to content, link cluster.Link) {
	if link.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if err := to.ns.DropGuard(ctx, []cluster.Link{link}); err != nil {
		g.log.Warn("a guard could not be dropped and waits for its expiry", slog.String(logkey.Object, link.Object.String()), slog.Any(logkey.Error, err))
	}
}

// discard drops the guard of bytes that the name server may not know of, and deletes them: no queue holds their link, and nobody is going to name them.
func (g *Gateway) discard(ctx context.Context, to content, link cluster.Link) {
	g.dropGuard(ctx, to, link)
	if link.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	os, err := g.topology.ObjectServer(link.Server)
	if err == nil {
		err = os.DeleteObjects(ctx, []cluster.ObjectID{link.Object})
	}
	if err != nil {
		g.log.Warn("bytes without a name wait for reconciliation", slog.String(logkey.Object, link.Object.String()), slog.Any(logkey.Error, err))
	}
}

// unnamed gives up content that could not be named because of err.
func (g *Gateway) unnamed(ctx context.Context, to content, link cluster.Link, err error) {
	if errors.Is(err, fault.GuardGone) {
		g.discard(ctx, to, link)
		return
	}
	g.dropGuard(ctx, to, link)
}

// committing returns the context for naming what is durable: the point of no return is near, and a client that hangs up must not leave it open.
func committing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
}

// readContent writes bytes [offset, offset+length) of an entry's content to w; length >= 1 and within the entry. It returns fault.NotFound when an object is not there.
func (g *Gateway) readContent(ctx context.Context, bucket cluster.BucketID, e *cluster.Entry, offset, length int64, w io.Writer) error {
	if e.PartCount == 0 {
		return g.readLink(ctx, e.Content, offset, length, w)
	}
	ns, err := g.topology.NameServerFor(bucket, e.Key)
	if err != nil {
		return err
	}
	for length > 0 {
		parts, err := ns.Parts(ctx, bucket, e.Key, e.Table, offset, partsPage(length))
		if err != nil {
			return fmt.Errorf("gateway: parts: %w", err)
		}
		if len(parts) == 0 {
			return fault.New(fault.Corrupt, "the parts of an object end at byte %d of %d", offset, e.Size)
		}
		for i := range parts {
			p := &parts[i]
			skip := offset - p.Offset
			if skip < 0 || skip > p.Size {
				return fault.New(fault.Corrupt, "part %d lies at %d+%d, byte %d was asked for", p.Number, p.Offset, p.Size, offset)
			}
			n := min(p.Size-skip, length)
			if n == 0 {
				continue
			}
			if err := g.readLink(ctx, p.Content, skip, n, w); err != nil {
				return err
			}
			offset += n
			if length -= n; length == 0 {
				return nil
			}
		}
	}
	return nil
}

// partsPage bounds a page of parts by what a range can touch: parts but the last have at least MinPartBytes.
func partsPage(length int64) int {
	return int(min(length/cluster.MinPartBytes+2, 1000))
}

func (g *Gateway) readLink(ctx context.Context, l cluster.Link, offset, length int64, w io.Writer) error {
	os, err := g.topology.ObjectServer(l.Server)
	if err != nil {
		return fmt.Errorf("gateway: object server %s: %w", l.Server, err)
	}
	if err := os.ReadObject(ctx, l.Object, offset, length, w); err != nil {
		return fmt.Errorf("gateway: read object %s on %s: %w", l.Object, l.Server, err)
	}
	return nil
}

// Buffers for bodies that are read and verified as a whole before anything is stored.
const (
	smallBodyBytes = 128 << 10 // bodies up to it take that way
	tinyBodyBytes  = 16 << 10
)

var (
	tinyBodies  = sync.Pool{New: func() any { return new([tinyBodyBytes]byte) }}
	smallBodies = sync.Pool{New: func() any { return new([smallBodyBytes]byte) }}
)

// smallBuffer returns a pooled buffer of length size <= smallBodyBytes and the function that gives it back.
func smallBuffer(size int64) (b []byte, release func()) {
	if size <= tinyBodyBytes {
		t := tinyBodies.Get().(*[tinyBodyBytes]byte)
		return t[:size], func() { tinyBodies.Put(t) }
	}
	t := smallBodies.Get().(*[smallBodyBytes]byte)
	return t[:size], func() { smallBodies.Put(t) }
}
