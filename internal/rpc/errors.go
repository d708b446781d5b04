package rpc

import (
	"encoding/binary"
	"errors"
	"strings"

	"ostor/internal/fault"
)

// Bounds of an error on the wire: longer texts are cut.
const (
	maxTextBytes  = 4096
	maxPlaceBytes = 1024
)

// Forms of an error's payload.
const (
	formText       = 0 // the text
	formCorruption = 1 // offset, then file, what, want, got and the text before them, each with a 2-byte length
)

// refusal marks an error of a call that no handler saw.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// NotExecuted reports that the call had no effect and may be repeated elsewhere.
func (refusal) NotExecuted() bool { return true }

// appendError encodes err; the kind travels in the header.
func appendError(b []byte, err error) []byte {
	text := err.Error()
	c, ok := errors.AsType[*fault.Corruption](err)
	if !ok {
		return append(append(b, formText), cut(text, maxTextBytes)...)
	}
	b = append(b, formCorruption)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.Offset))
	// The receiver's text appends the corruption to what came before it, as wrapping did here.
	before := strings.TrimSuffix(strings.TrimSuffix(text, c.Error()), ": ")
	for _, s := range [...]string{c.File, c.What, c.Want, c.Got} {
		b = appendText(b, cut(s, maxPlaceBytes))
	}
	return appendText(b, cut(before, maxTextBytes))
}

// decodeError makes the error again. It never fails: what it cannot read becomes part of the text.
func decodeError(kind fault.Kind, b []byte) error {
	if len(b) == 0 {
		return &fault.Error{Kind: kind, Msg: kind.Error()}
	}
	form, rest := b[0], b[1:]
	if form != formCorruption || len(rest) < 8 {
		return &fault.Error{Kind: kind, Msg: cut(string(rest), maxTextBytes)}
	}
	c := &fault.Corruption{Offset: int64(binary.LittleEndian.Uint64(rest))}
	rest = rest[8:]
	var before string
	for _, s := range [...]*string{&c.File, &c.What, &c.Want, &c.Got, &before} {
		if len(rest) < 2 || len(rest)-2 < int(binary.LittleEndian.Uint16(rest)) {
			break
		}
		n := int(binary.LittleEndian.Uint16(rest))
		*s, rest = string(rest[2:2+n]), rest[2+n:]
	}
	return &fault.Error{Kind: kind, Msg: before, Err: c}
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(s))), s...)
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
