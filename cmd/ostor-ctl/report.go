package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"ostor/internal/fault"
)

// report writes lines, as text or JSON, and counts.
type report struct {
	w       *bufio.Writer
	opts    options
	files   int
	items   int // headers, records, pages, blocks verified
	damages int
	notes   int
	under   string // only damage in files at or below this path is told
	name    func(abs string) string
	seen    map[string]bool // damage that was told
	lines   int             // of the present file
}

func newReport(w io.Writer, o options) *report {
	return &report{w: bufio.NewWriter(w), opts: o, seen: make(map[string]bool), name: func(s string) string { return s }}
}

func (r *report) flush() error { return r.w.Flush() }

// field is one named value of a line. Keys of stores are of type quoted.
type field struct {
	name  string
	value any
}

// quoted is bytes that are printed in Go's syntax.
type quoted string

func (q quoted) MarshalText() ([]byte, error) { return []byte(strconv.Quote(string(q))), nil }

// line prints what was found in a file at an offset. A dump only; false = the limit is reached.
func (r *report) line(abs string, off int64, kind string, fields ...field) bool {
	if r.opts.check {
		return true
	}
	if r.opts.limit > 0 && r.lines >= r.opts.limit {
		return false
	}
	r.lines++
	r.print(kind, abs, off, fields)
	return true
}

func (r *report) print(kind, abs string, off int64, fields []field) {
	all := []field{{"kind", strings.TrimSpace(kind)}}
	if abs != "" {
		all = append(all, field{"file", r.name(abs)}, field{"offset", off})
	}
	all = append(all, fields...)
	if r.opts.json {
		_, _ = r.w.Write(jsonLine(all)) // flush tells the first error
		return
	}
	var b []byte
	if abs != "" {
		b = fmt.Appendf(b, "%s+%d ", r.name(abs), off)
	}
	b = append(b, kind...)
	for _, f := range fields {
		switch v := f.value.(type) {
		case quoted:
			b = fmt.Appendf(b, " %s=%q", f.name, string(v))
		case string:
			if v == "" || strings.ContainsAny(v, " \n\"=") {
				b = fmt.Appendf(b, " %s=%q", f.name, v)
				continue
			}
			b = fmt.Appendf(b, " %s=%s", f.name, v)
		default:
			b = fmt.Appendf(b, " %s=%v", f.name, v)
		}
	}
	_, _ = r.w.Write(append(b, '\n'))
}

// jsonLine keeps the order of the fields.
func jsonLine(fields []field) []byte {
	b := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		v, err := json.Marshal(f.value)
		if err != nil {
			v = []byte("null")
		}
		b = append(fmt.Appendf(b, "%q:", f.name), v...)
	}
	return append(b, '}', '\n')
}

// damage tells of one damaged place, once.
func (r *report) damage(abs string, off int64, what, want, got string) {
	key := abs + "+" + strconv.FormatInt(off, 10)
	if abs != r.under && !strings.HasPrefix(abs, strings.TrimSuffix(r.under, "/")+"/") || r.seen[key] {
		return
	}
	r.seen[key] = true
	r.damages++
	r.print("DAMAGE", abs, off, []field{{"what", what}, {"want", want}, {"got", got}})
}

// failed tells of an error about a file: a corruption where it is, anything else at the beginning. base is the directory that names in corruptions are relative to.
func (r *report) failed(base, abs, what string, err error) {
	var c *fault.Corruption
	if errors.As(err, &c) {
		r.damage(join(base, abs, c.File), c.Offset, c.What, c.Want, c.Got)
		return
	}
	r.damage(abs, 0, what, "a valid one", err.Error())
}

// note tells something that is no damage.
func (r *report) note(abs string, off int64, text string) {
	r.notes++
	r.print("note", abs, off, []field{{"text", text}})
}

func (r *report) summary() {
	r.print("summary", "", 0, []field{{"files", r.files}, {"items", r.items}, {"damages", r.damages}, {"notes", r.notes}})
}
