package nameserver

import (
	"bytes"
	"encoding/binary"
	"strings"

	"ostor/internal/cluster"
)

// The first byte of a store key names its table (FORMAT.md, "Tables").
const (
	tagBucket  = 'b' // name -> bucket
	tagOwner   = 'B' // owner, name -> nothing: index of tagBucket
	tagGuard   = 'g' // link -> guard
	tagHead    = 'o' // bucket, key -> current version
	tagPart    = 'p' // bucket, key, upload, number -> part of a running upload, or of an ended one that is being collected
	tagGarbage = 'q' // server, generation, sequence -> garbage entry
	tagRecord  = 'r' // name -> record of the service bucket
	tagRestore = 'R' // nothing -> mark of a restore under way
	tagSeal    = 's' // bucket -> seal
	tagTable   = 't' // bucket, key, table, end, index -> chunk of the parts of a completed object
	tagUpload  = 'u' // bucket, key, upload -> running upload
	tagVersion = 'v' // bucket, key, ^version -> noncurrent version, newest first
)

// An escaped key keeps the byte order of keys and tells where it ends: 0x00 becomes 0x00 0xff, and 0x00 0x01 ends it.
const (
	escapeByte = 0x00
	escapedNul = 0xff
	escapedEnd = 0x01
)

const bucketPrefixBytes = 1 + 8 // tag, bucket id

func appendBucketPrefix(b []byte, tag byte, bucket cluster.BucketID) []byte {
	return binary.BigEndian.AppendUint64(append(b, tag), uint64(bucket))
}

func appendEscaped(b []byte, key string) []byte {
	for {
		i := strings.IndexByte(key, escapeByte)
		if i < 0 {
			return append(b, key...)
		}
		b = append(b, key[:i]...)
		b = append(b, escapeByte, escapedNul)
		key = key[i+1:]
	}
}

// appendNamePrefix appends what all store keys of a table begin with whose names begin with prefix, and no others do.
func appendNamePrefix(b []byte, tag byte, bucket cluster.BucketID, prefix string) []byte {
	return appendEscaped(appendBucketPrefix(b, tag, bucket), prefix)
}

// appendName appends the store key of a name: complete for tagHead, the beginning of several for other tables.
func appendName(b []byte, tag byte, bucket cluster.BucketID, key string) []byte {
	return append(appendNamePrefix(b, tag, bucket, key), escapeByte, escapedEnd)
}

// nameKey returns a fresh store key of a name with room for extra bytes after it.
func nameKey(tag byte, bucket cluster.BucketID, key string, extra int) []byte {
	return appendName(make([]byte, 0, bucketPrefixBytes+len(key)+2+extra), tag, bucket, key)
}

func versionKey(bucket cluster.BucketID, key string, v cluster.VersionID) []byte {
	b := nameKey(tagVersion, bucket, key, 16)
	b = binary.BigEndian.AppendUint64(b, ^v.Generation)
	return binary.BigEndian.AppendUint64(b, ^v.Sequence)
}

func uploadKey(bucket cluster.BucketID, key string, id cluster.UploadID) []byte {
	return append(nameKey(tagUpload, bucket, key, 16), id[:]...)
}

func partKey(bucket cluster.BucketID, key string, id cluster.UploadID, number int32) []byte {
	b := append(nameKey(tagPart, bucket, key, 20), id[:]...)
	return binary.BigEndian.AppendUint32(b, uint32(number))
}

// chunkKey is ordered by the end of the chunk (offset in the object, exclusive), so that a forward seek to offset+1 finds the chunk that holds offset.
func chunkKey(bucket cluster.BucketID, key string, table cluster.ObjectID, end int64, index uint32) []byte {
	b := append(nameKey(tagTable, bucket, key, 28), table[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(end))
	return binary.BigEndian.AppendUint32(b, index)
}

func guardKey(l cluster.Link) []byte {
	b := make([]byte, 0, 25)
	b = binary.BigEndian.AppendUint64(append(b, tagGuard), uint64(l.Server))
	return append(b, l.Object[:]...)
}

func linkOfGuardKey(k []byte) (l cluster.Link, ok bool) {
	if len(k) != 25 || k[0] != tagGuard {
		return l, false
	}
	l.Server = cluster.ServiceID(binary.BigEndian.Uint64(k[1:]))
	copy(l.Object[:], k[9:])
	return l, true
}

// garbageKey queues by server: entries of a server that is down are skipped by one seek. Server 0 is that of entries that stand for many links.
func garbageKey(server cluster.ServiceID, seq cluster.VersionID) []byte {
	b := make([]byte, 0, 25)
	b = binary.BigEndian.AppendUint64(append(b, tagGarbage), uint64(server))
	b = binary.BigEndian.AppendUint64(b, seq.Generation)
	return binary.BigEndian.AppendUint64(b, seq.Sequence)
}

func serverOfGarbageKey(k []byte) (cluster.ServiceID, bool) {
	if len(k) != 25 || k[0] != tagGarbage {
		return 0, false
	}
	return cluster.ServiceID(binary.BigEndian.Uint64(k[1:])), true
}

func garbagePrefix(server cluster.ServiceID) []byte {
	return binary.BigEndian.AppendUint64([]byte{tagGarbage}, uint64(server))
}

func sealKey(bucket cluster.BucketID) []byte {
	return appendBucketPrefix(make([]byte, 0, bucketPrefixBytes), tagSeal, bucket)
}

func stringKey(tag byte, name string) []byte {
	return append(append(make([]byte, 0, 1+len(name)), tag), name...)
}

func ownerPrefix(owner cluster.UserID) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), tagOwner), uint64(owner))
}

func ownerKey(owner cluster.UserID, name string) []byte { return append(ownerPrefix(owner), name...) }

// splitName takes a store key of one of the tables by name apart. rest is what follows the name and shares memory with k.
func splitName(k []byte) (bucket cluster.BucketID, key string, rest []byte, ok bool) {
	if len(k) < bucketPrefixBytes {
		return 0, "", nil, false
	}
	bucket = cluster.BucketID(binary.BigEndian.Uint64(k[1:]))
	n, rest, ok := unescape(k[bucketPrefixBytes:])
	return bucket, n, rest, ok
}

// unescape reads an escaped key up to and with its end.
func unescape(b []byte) (key string, rest []byte, ok bool) {
	i := bytes.IndexByte(b, escapeByte)
	if i < 0 || i+1 >= len(b) {
		return "", nil, false
	}
	if b[i+1] == escapedEnd { // the usual case: no NUL in the key
		return string(b[:i]), b[i+2:], true
	}
	var out []byte
	for {
		i := bytes.IndexByte(b, escapeByte)
		if i < 0 || i+1 >= len(b) {
			return "", nil, false
		}
		out = append(out, b[:i]...)
		switch b[i+1] {
		case escapedEnd:
			return string(out), b[i+2:], true
		case escapedNul:
			out = append(out, 0)
		default:
			return "", nil, false
		}
		b = b[i+2:]
	}
}

// nameLen returns the length of the store key's part up to and with the name's end, or 0 for a malformed one.
func nameLen(k []byte) int {
	for i := bucketPrefixBytes; ; {
		if i > len(k) {
			return 0
		}
		j := bytes.IndexByte(k[i:], escapeByte)
		if j < 0 || i+j+1 >= len(k) {
			return 0
		}
		if k[i+j+1] == escapedEnd {
			return i + j + 2
		}
		i += j + 2
	}
}

// successor returns the least string above all that begin with b; b is not changed. Every store key begins with a tag below 0xff, so there always is one.
func successor(b []byte) []byte {
	n := len(b)
	for n > 0 && b[n-1] == 0xff {
		n--
	}
	out := append([]byte(nil), b[:n]...)
	if n > 0 {
		out[n-1]++
	}
	return out
}
