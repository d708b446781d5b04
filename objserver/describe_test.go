package objserver

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ostor/internal/cluster"
	"ostor/pools"
)

// kept keeps what a draft puts, in order.
type kept struct{ keys, values [][]byte }

func (k *kept) Get([]byte) ([]byte, bool, error) { return nil, false, nil }
func (k *kept) Delete([]byte)                    {}
func (k *kept) Put(key, value []byte) {
	k.keys, k.values = append(k.keys, key), append(k.values, value)
}

// TestDecoderFollowsContinuations: an object of 130 large blocks and a shorter one has three continuations.
func TestDecoderFollowsContinuations(t *testing.T) {
	t.Parallel()
	const blocks = 131
	size := int64(blocks-1)*pools.MaxBlockBytes + 70<<10
	d := newDraft(size, false, time.UnixMilli(5), blocks)
	for i := range blocks {
		n := int64(pools.MaxBlockBytes)
		if i == blocks-1 {
			n = 70 << 10
		}
		d.block(pools.Addr{FileID: pools.FileID{Generation: 3, Pool: pools.PoolCount - 1, Number: 1}, Block: uint32(i)})
		for range pools.Chunks(n) {
			d.chunk(1)
		}
	}
	var k kept
	id := cluster.ObjectID{1, 2, 3}
	d.put(&k, id)
	if len(k.keys) != 4 {
		t.Fatalf("%d records, want a head and 3 continuations", len(k.keys))
	}
	var dec Decoder
	var got []Block
	for i := range k.keys {
		r, err := dec.Decode(k.keys[i], k.values[i])
		if err != nil || r.Object != id {
			t.Fatalf("record %d: object %v, %v", i, r.Object, err)
		}
		got = append(got, r.Blocks...)
	}
	if len(got) != blocks {
		t.Fatalf("%d blocks, want %d", len(got), blocks)
	}
	for i, b := range got {
		want := int64(pools.MaxBlockBytes)
		if i == blocks-1 {
			want = 70 << 10
		}
		if b.Addr.Block != uint32(i) || b.Part != i || b.Length != want || b.Offset != int64(i)*pools.MaxBlockBytes || b.Size != size {
			t.Errorf("block %d: %+v", i, b)
		}
	}
	var alone Decoder
	if r, err := alone.Decode(k.keys[2], k.values[2]); err != nil || !strings.Contains(r.Text, "head is elsewhere") || r.Blocks != nil {
		t.Errorf("a continuation by itself: %+v, %v", r, err)
	}
}

// TestDecoderSurvivesAnything feeds it bytes that no object server wrote.
func TestDecoderSurvivesAnything(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(testSeed(t), 1))
	tags := []byte{prefixLast, prefixObject, prefixRegion, prefixPayload, 'x'}
	lengths := []int{0, 1, lastKeyBytes, objectKeyBytes, partKeyBytes, regionKeyBytes, payloadKeyBytes}
	for range 20000 {
		key, value := make([]byte, lengths[r.IntN(len(lengths))]), make([]byte, r.IntN(100))
		for i := range value {
			value[i] = byte(r.IntN(3))
		}
		for i := range key {
			key[i] = byte(r.IntN(3))
		}
		if len(key) > 0 {
			key[0] = tags[r.IntN(len(tags))]
		}
		var d Decoder
		if rec, err := d.Decode(key, value); err == nil && rec.Text == "" {
			t.Fatalf("key %x value %x: nothing said, no error", key, value)
		}
	}
}
