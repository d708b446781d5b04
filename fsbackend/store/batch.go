package store

import (
	"encoding/binary"
	"slices"

	"ostor/internal/fault"
)

// The payload of a log record: one batch (FORMAT.md).
const (
	batchVersion = 1
	opPut        = 1
	opDelete     = 2
)

// uvarintBytes returns the length of v as a varint.
func uvarintBytes(v uint64) (n int) {
	for n = 1; v >= 0x80; n++ {
		v >>= 7
	}
	return n
}

// opBytes returns the length of one encoded operation.
func opBytes(e *entry) int {
	n := 1 + uvarintBytes(uint64(len(e.key))) + len(e.key)
	if !e.deleted {
		n += uvarintBytes(uint64(len(e.value))) + len(e.value)
	}
	return n
}

// appendBatch encodes the operations.
func appendBatch(b []byte, ops []entry) []byte {
	b = append(b, batchVersion)
	b = binary.AppendUvarint(b, uint64(len(ops)))
	for i := range ops {
		e := &ops[i]
		if e.deleted {
			b = append(b, opDelete)
			b = binary.AppendUvarint(b, uint64(len(e.key)))
			b = append(b, e.key...)
			continue
		}
		b = append(b, opPut)
		b = binary.AppendUvarint(b, uint64(len(e.key)))
		b = append(b, e.key...)
		b = binary.AppendUvarint(b, uint64(len(e.value)))
		b = append(b, e.value...)
	}
	return b
}

// decodeBatch reads what appendBatch wrote. The operations point into b. It returns fault.Corrupt for anything else.
func decodeBatch(b []byte) ([]entry, error) { return appendOps(nil, b) }

// appendOps is decodeBatch that appends to ops, which it returns as it was with an error.
func appendOps(ops []entry, b []byte) ([]entry, error) {
	was := ops
	bad := func(what string) error { return fault.New(fault.Corrupt, "batch: %s", what) }
	if len(b) == 0 || b[0] != batchVersion {
		return was, bad("unknown version")
	}
	b = b[1:]
	count, n := binary.Uvarint(b)
	if n <= 0 || count > uint64(len(b)) {
		return was, bad("impossible count")
	}
	b = b[n:]
	field := func(limit int) ([]byte, bool) {
		l, n := binary.Uvarint(b)
		if n <= 0 || l > uint64(len(b)-n) || l > uint64(limit) {
			return nil, false
		}
		f := b[n : n+int(l) : n+int(l)]
		b = b[n+int(l):]
		return f, true
	}
	ops = slices.Grow(ops, int(count))
	for range count {
		if len(b) == 0 || b[0] != opPut && b[0] != opDelete {
			return was, bad("unknown operation")
		}
		e := entry{deleted: b[0] == opDelete}
		b = b[1:]
		var ok bool
		if e.key, ok = field(MaxKeyBytes); !ok || len(e.key) == 0 {
			return was, bad("impossible key length")
		}
		if !e.deleted {
			if e.value, ok = field(MaxVolatileBytes); !ok {
				return was, bad("impossible value length")
			}
		}
		ops = append(ops, e)
	}
	if len(b) != 0 {
		return was, bad("bytes behind the last operation")
	}
	return ops, nil
}
