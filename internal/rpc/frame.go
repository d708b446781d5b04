package rpc

import (
	"encoding/binary"
	"fmt"

	"ostor/internal/checksum"
	"ostor/internal/fault"
)

// PROTOCOL.md describes every byte here.
const (
	headerBytes = 32
	version     = 1
	magic0      = 'O'
	magic1      = 'R'

	// MaxFrameBytes is the longest payload of one frame.
	MaxFrameBytes = 1 << 20
	// MaxMessageBytes is the longest request or reply; those above MaxFrameBytes travel in several frames.
	MaxMessageBytes = 16 << 20

	helloBytes    = 16
	deadlineBytes = 4
)

// frameType says what a frame is. Append only.
type frameType uint8

const (
	typeHello   frameType = 1 // client: which service this connection is for
	typeWelcome frameType = 2 // server: it is here
	typeRequest frameType = 3 // client: begins a call
	typeData    frameType = 4 // either: a piece of the body
	typeReply   frameType = 5 // server: ends a call
	typeError   frameType = 6 // server: ends a call that failed
	typeAbort   frameType = 7 // client: the body failed; ends the data
	typePing    frameType = 8 // client: are you there?
)

const lastType = typePing

// Flags.
const (
	flagBody       = 1 << 0 // request: data frames follow
	flagEnd        = 1 << 1 // data: the last piece
	flagMore       = 1 << 2 // request, reply: the message goes on in the next frame
	flagRefused    = 1 << 3 // error: no handler saw the call
	flagPayloadCRC = 1 << 4 // the checksum covers the payload too
	knownFlags     = flagBody | flagEnd | flagMore | flagRefused | flagPayloadCRC
)

// header is the fixed beginning of each frame.
type header struct {
	kind       frameType
	flags      uint8
	code       uint16 // request: operation; error: fault kind
	length     uint32 // bytes of payload
	crc        uint32 // CRC32C of the other 28 bytes, and of the payload with flagPayloadCRC
	request    uint64 // id of the request that this call serves, for logs; 0 = none
	generation uint64 // of the service
}

// put writes h to b, with the checksum of the header alone: add the payload's afterwards.
func (h *header) put(b *[headerBytes]byte) {
	le := binary.LittleEndian
	b[0], b[1], b[2], b[3], b[4], b[5] = magic0, magic1, version, byte(h.kind), h.flags, 0
	le.PutUint16(b[6:], h.code)
	le.PutUint32(b[8:], h.length)
	le.PutUint64(b[16:], h.request)
	le.PutUint64(b[24:], h.generation)
	h.crc = headerCRC(b)
	le.PutUint32(b[12:], h.crc)
}

// headerCRC covers everything but the checksum's own field.
func headerCRC(b *[headerBytes]byte) uint32 {
	return checksum.Update(checksum.CRC32C(b[:12]), b[16:])
}

// decodeHeader reads a header. When the payload is not covered its checksum is verified here, otherwise by whoever reads the payload, beginning with sum.
func decodeHeader(b *[headerBytes]byte) (h header, sum uint32, err error) {
	le := binary.LittleEndian
	if b[0] != magic0 || b[1] != magic1 {
		return h, 0, frameError("wrong magic %02x%02x", b[0], b[1])
	}
	if b[2] != version {
		return h, 0, frameError("version %d: this side knows %d", b[2], version)
	}
	h = header{kind: frameType(b[3]), flags: b[4], code: le.Uint16(b[6:]), length: le.Uint32(b[8:]), crc: le.Uint32(b[12:]),
		request: le.Uint64(b[16:]), generation: le.Uint64(b[24:])}
	switch sum = headerCRC(b); {
	case h.kind == 0 || h.kind > lastType:
		return h, 0, frameError("unknown type %d", b[3])
	case h.flags&^knownFlags != 0 || b[5] != 0:
		return h, 0, frameError("unknown flags %02x", h.flags)
	case h.length > MaxFrameBytes:
		return h, 0, frameError("%d bytes long: at most %d are allowed", h.length, MaxFrameBytes)
	case h.flags&flagPayloadCRC == 0 && sum != h.crc:
		return h, 0, frameError("wrong checksum of the header")
	}
	return h, sum, nil
}

// frameError is the refusal of what a peer sent: of kind fault.Invalid, and the connection ends.
func frameError(format string, args ...any) error {
	return fault.New(fault.Invalid, "rpc: bad frame: %s", fmt.Sprintf(format, args...))
}
