package intent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// tries bounds how often something starts over because others came in between.
const tries = 8

// AttemptTimeout bounds one attempt at an operation: by its first worker, and by each that takes it over.
const AttemptTimeout = 15 * time.Second

// Journal keeps the records. It is safe for concurrent use.
type Journal struct {
	topology cluster.Topology
	log      *slog.Logger
}

// New returns the journal of one process. A nil logger logs nothing.
func New(t cluster.Topology, log *slog.Logger) *Journal {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Journal{topology: t, log: log}
}

// held is a record as this process left it.
type held struct {
	Record
	epoch cluster.Epoch
}

func (j *Journal) server() (cluster.NameServer, error) {
	return j.topology.NameServerOfRecord(directory)
}

// begin makes the record of a new attempt durable. Others at the same bucket are not kept from going on, and do no harm.
func (j *Journal) begin(ctx context.Context, r Record) (held, error) {
	r.Attempt = rand.Uint64()
	return j.put(ctx, r, 0)
}

// claim takes a record over from whoever left it in the state h. It returns fault.Precondition when another one did.
func (j *Journal) claim(ctx context.Context, h held) (held, error) {
	h.Claims++
	return j.put(ctx, h.Record, h.epoch)
}

func (j *Journal) put(ctx context.Context, r Record, expect cluster.Epoch) (held, error) {
	ns, err := j.server()
	if err == nil {
		err = ns.ApplyRecords(ctx, []cluster.RecordChange{{Name: r.name(), Value: r.encode(), Expect: expect}})
	}
	return held{r, expect + 1}, err
}

// end removes the record, unless somebody else has it by now: then it is his to remove.
func (j *Journal) end(ctx context.Context, h held) {
	ns, err := j.server()
	if err == nil {
		err = ns.ApplyRecords(ctx, []cluster.RecordChange{{Name: h.name(), Expect: h.epoch}})
	}
	if err != nil && !errors.Is(err, fault.Precondition) {
		j.log.Warn("a record of a finished operation stays for now", slog.String(logkey.Bucket, h.Name), slog.Any(logkey.Error, err))
	}
}

// list returns up to a thousand records after a name, and the name to go on after, "" at the end. What cannot be read is logged and left alone.
func (j *Journal) list(ctx context.Context, after string) (all []held, next string, err error) {
	ns, err := j.server()
	if err != nil {
		return nil, "", err
	}
	page, more, err := ns.ListRecords(ctx, bucketPrefix, after, 0)
	if err != nil {
		return nil, "", fmt.Errorf("intent: list operations under way: %w", err)
	}
	for _, p := range page {
		r, err := decodeRecord(p.Name, p.Value)
		switch {
		case err == nil:
			all = append(all, held{r, p.Epoch})
		case errors.Is(err, fault.NotSupported):
			j.log.Debug("an operation of a newer gateway is left alone", slog.Any(logkey.Error, err))
		default:
			j.log.Error("an operation that was interrupted cannot be read", slog.Any(logkey.Error, err))
		}
		next = p.Name
	}
	if !more {
		next = ""
	}
	return all, next, nil
}
