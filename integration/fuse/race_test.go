package fuse

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	raceSlots   = 6  // keys that clients race for at a time
	raceUnknown = 4  // changes without an answer, after which a key is left alone: each doubles what the checker has to try
	raceLength  = 80 // operations on a key, likewise
	noAnswer    = -1 // output of a change that was not answered: it happened at some time, or never
	noVersion   = -2 // output of a condition that did not hold
)

// race is what clients saw that read and write the same keys, without knowing of each other. It is checked apart from them: the history of every key must be that of one register.
type race struct {
	begin time.Time

	mu      sync.Mutex
	ops     map[string][]porcupine.Operation
	unknown map[string]int    // changes without an answer, by key
	slots   [raceSlots]string // the keys in use
	made    int               // keys
	bodies  [][]byte          // by value; value 0 is the absence of an object
	tags    map[string]int    // ETag -> value
	answers map[string]int    // by kind of request
	odd     []string
}

// raceStep is the input of the model. want is the value that a swap names.
type raceStep struct {
	kind        string
	value, want int
}

// raceModel is one key. A get and a list output the value that they saw; a change outputs 0, noAnswer or noVersion.
var raceModel = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(int), input.(raceStep), output.(int)
		switch in.kind {
		case "get", "list":
			return out == now, now
		case "delete":
			return true, 0
		case "create", "swap":
			holds := now == in.want // want of a create is 0
			if out == noVersion || out == noAnswer && !holds {
				return !holds, now
			}
			return holds, in.value
		}
		return true, in.value
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %d", input, output) },
}

func newRace() *race {
	return &race{begin: time.Now(), ops: map[string][]porcupine.Operation{}, unknown: map[string]int{}, bodies: make([][]byte, 1), tags: map[string]int{}, answers: map[string]int{}}
}

// key returns one of the keys in use.
func (r *race) key(slot int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.slots[slot]
	if k == "" || r.unknown[k] >= raceUnknown || len(r.ops[k]) >= raceLength {
		r.made++
		k = fmt.Sprintf("race/%d/%d", slot, r.made)
		r.slots[slot] = k
	}
	return k
}

// content makes a new value.
func (r *race) content(rng *rand.Rand) (value int, body []byte) {
	body = make([]byte, 16+rng.IntN(40<<10))
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, body)
	value = len(r.bodies) - 1
	r.tags[tagOf(body)] = value
	return value, body
}

func tagOf(body []byte) string { return fmt.Sprintf(`"%x"`, md5.Sum(body)) }

// seen returns the value of an ETag, and whether body, if given, is it.
func (r *race) seen(tag string, body []byte) (value int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	value, ok := r.tags[tag]
	if !ok || body != nil && !bytes.Equal(body, r.bodies[value]) {
		r.odd = append(r.odd, fmt.Sprintf("%d bytes with ETag %s, which nobody wrote", len(body), tag))
	}
	return value
}

// note adds an operation that began at call. What was not answered and changes nothing is left out.
func (r *race) note(client int, key string, in raceStep, call int64, out int) {
	ret := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[in.kind]++
	if out == noAnswer {
		r.answers["503"]++
		if in.kind == "get" || in.kind == "list" {
			return
		}
		r.unknown[key]++
		ret = math.MaxInt64
	}
	r.ops[key] = append(r.ops[key], porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: ret})
}

func (r *race) now() int64 { return int64(time.Since(r.begin)) }

// refused returns the number of requests without an answer.
func (r *race) refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answers["503"]
}

// outcome turns the error of a change into an output.
func (r *race) outcome(err error, conditional bool) int {
	switch code := status(err); {
	case err == nil:
		return 0
	case conditional && (code == http.StatusPreconditionFailed || code == http.StatusNotFound):
		return noVersion
	case code != http.StatusServiceUnavailable:
		r.mu.Lock()
		r.odd = append(r.odd, err.Error())
		r.mu.Unlock()
	}
	return noAnswer
}

// work sends requests until ctx ends.
func (r *race) work(ctx context.Context, id int, s3 *awss3.Client, rng *rand.Rand) {
	known := map[string]string{} // ETags, for swaps
	for ctx.Err() == nil {
		key := r.key(rng.IntN(raceSlots))
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 12*time.Second)
		before := r.refused()
		r.one(rctx, id, s3, rng, key, known)
		cancel()
		pause := 5 + rng.IntN(20) // a load that leaves the machine to the others
		if r.refused() > before {
			pause *= 20
		}
		time.Sleep(time.Duration(pause) * time.Millisecond)
	}
}

func (r *race) one(ctx context.Context, id int, s3 *awss3.Client, rng *rand.Rand, key string, known map[string]string) {
	switch pick := rng.IntN(100); {
	case pick < 35:
		call := r.now()
		value, tag, err := r.get(ctx, s3, key)
		if err == nil {
			known[key] = tag
		}
		r.note(id, key, raceStep{kind: "get"}, call, value)
	case pick < 45:
		r.list(ctx, id, s3, key)
	case pick < 57:
		call := r.now()
		_, err := s3.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &bucket, Key: &key})
		r.note(id, key, raceStep{kind: "delete"}, call, r.outcome(err, false))
	default:
		value, body := r.content(rng)
		in := raceStep{kind: "put", value: value}
		put := &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}
		if tag := known[key]; pick < 72 && tag != "" {
			put.IfMatch = &tag
			in.kind, in.want = "swap", r.seen(tag, nil)
		} else if pick < 80 {
			all := "*"
			put.IfNoneMatch = &all
			in.kind = "create"
		}
		call := r.now()
		_, err := s3.PutObject(ctx, put)
		r.note(id, key, in, call, r.outcome(err, in.kind != "put"))
		if err == nil {
			known[key] = tagOf(body)
		}
	}
}

// get returns the value of a key: 0 when there is none, noAnswer without an answer.
func (r *race) get(ctx context.Context, s3 *awss3.Client, key string) (value int, tag string, err error) {
	out, err := s3.GetObject(ctx, &awss3.GetObjectInput{Bucket: &bucket, Key: &key})
	if status(err) == http.StatusNotFound {
		return 0, "", nil
	}
	if err == nil {
		var body []byte
		body, err = io.ReadAll(out.Body)
		_ = out.Body.Close()
		if err == nil {
			return r.seen(*out.ETag, body), *out.ETag, nil
		}
		return noAnswer, "", err // a reply that was cut off says that it was
	}
	return r.outcome(err, false), "", err
}

// list looks at all keys of a slot: each that is in use shows its value, or that there is none.
func (r *race) list(ctx context.Context, id int, s3 *awss3.Client, key string) {
	prefix := key[:strings.LastIndexByte(key, '/')+1]
	call := r.now()
	out, err := s3.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	if err != nil {
		r.note(id, key, raceStep{kind: "list"}, call, r.outcome(err, false))
		return
	}
	value := 0
	for _, o := range out.Contents {
		switch v := r.seen(*o.ETag, nil); {
		case *o.Key == key:
			value = v
		case !strings.HasPrefix(*o.Key, prefix):
			r.mu.Lock()
			r.odd = append(r.odd, fmt.Sprintf("a listing of %s shows %s", prefix, *o.Key))
			r.mu.Unlock()
		}
	}
	r.note(id, key, raceStep{kind: "list"}, call, value)
}

// settle reads every key once more, and lists them all.
func (r *race) settle(ctx context.Context, t *testing.T, s3 *awss3.Client) {
	t.Helper()
	for slot := range raceSlots {
		prefix := fmt.Sprintf("race/%d/", slot)
		for key := range r.ops {
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			call := r.now()
			value, _, err := r.get(ctx, s3, key)
			if err != nil {
				t.Errorf("get %s: %v", key, err)
			}
			r.note(0, key, raceStep{kind: "get"}, call, value)
			r.list(ctx, 0, s3, key)
		}
	}
}

// check asks porcupine about every key.
func (r *race) check(t *testing.T) {
	t.Helper()
	for _, odd := range r.odd {
		t.Errorf("a racing client saw %s", odd)
	}
	total, given := 0, 0
	for key, ops := range r.ops {
		total += len(ops)
		switch porcupine.CheckOperationsTimeout(raceModel, ops, 10*time.Second) {
		case porcupine.Illegal:
			for _, o := range ops {
				t.Logf("%s: client %d [%d, %d] %+v -> %v", key, o.ClientId, o.Call, o.Return, o.Input, o.Output)
			}
			t.Errorf("the history of %s is not that of one register", key)
		case porcupine.Unknown:
			given++
		}
	}
	t.Logf("histories of %d keys with %d operations are linearizable, %d keys given up; %v", len(r.ops)-given, total, given, r.answers)
	if total == 0 || given > len(r.ops)/10 {
		t.Errorf("%d operations, %d of %d keys given up: the check is worth little", total, given, len(r.ops))
	}
}

// TestRaceModel: the checker notices what it is for.
func TestRaceModel(t *testing.T) {
	t.Parallel()
	const last = math.MaxInt64
	op := func(call, ret int64, kind string, value, want, out int) porcupine.Operation {
		return porcupine.Operation{Input: raceStep{kind, value, want}, Call: call, Return: ret, Output: out}
	}
	for _, tc := range []struct {
		name string
		ops  []porcupine.Operation
		want bool
	}{
		{"put, get", []porcupine.Operation{op(1, 2, "put", 1, 0, 0), op(3, 4, "get", 0, 0, 1)}, true},
		{"an acknowledged write is lost", []porcupine.Operation{op(1, 2, "put", 1, 0, 0), op(3, 4, "get", 0, 0, 0)}, false},
		{"a write without an answer is seen, or not", []porcupine.Operation{op(1, last, "put", 1, 0, noAnswer), op(3, 4, "get", 0, 0, 0), op(5, 6, "get", 0, 0, 1)}, true},
		{"seen once, it stays", []porcupine.Operation{op(1, last, "put", 1, 0, noAnswer), op(3, 4, "get", 0, 0, 1), op(5, 6, "list", 0, 0, 0)}, false},
		{"a delete that was acknowledged is undone", []porcupine.Operation{op(1, 2, "put", 1, 0, 0), op(3, 4, "delete", 0, 0, 0), op(5, 6, "list", 0, 0, 1)}, false},
		{"two creates of one key", []porcupine.Operation{op(1, 4, "create", 1, 0, 0), op(2, 3, "create", 2, 0, 0)}, false},
		{"one create, one refused", []porcupine.Operation{op(1, 4, "create", 1, 0, 0), op(2, 3, "create", 2, 0, noVersion), op(5, 6, "get", 0, 0, 1)}, true},
		{"a swap of what is not there", []porcupine.Operation{op(1, 2, "put", 1, 0, 0), op(3, 4, "put", 2, 0, 0), op(5, 6, "swap", 3, 1, 0)}, false},
		{"a swap refused although it held", []porcupine.Operation{op(1, 2, "put", 1, 0, 0), op(3, 4, "swap", 2, 1, noVersion)}, false},
	} {
		if got := porcupine.CheckOperations(raceModel, tc.ops); got != tc.want {
			t.Errorf("%s: got %t", tc.name, got)
		}
	}
}
