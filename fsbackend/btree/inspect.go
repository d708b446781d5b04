package btree

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"unicode/utf8"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

// Inspect reads everything that a root reaches and verifies it as Tree.Check does, without writing; no tree need be open. root is one that
// ReadRing or NewestRoot returned, or a manifest holds. The report counts what was seen, up to the damage where there is an error.
func Inspect(ctx context.Context, fs fsbackend.FS, dir string, root Root) (Report, error) {
	g := newPager(fs, dir, noHome, 1)
	defer func() { _ = g.close() }()
	return check(ctx, g, root)
}

const noHome = ^uint64(0)

// DumpOptions say what Dump prints.
type DumpOptions struct {
	Entries bool // the entries of leaves, too; else a line per page
	Limit   int  // pages at most; 0 = all
}

// Dump prints the pages that a root reaches in key order as text, one line per page and, if asked, per entry. It writes nothing to the files.
// A damaged page is printed as such and what lies below it is left out; the first damage is returned at the end.
func Dump(ctx context.Context, fs fsbackend.FS, dir string, root Root, w io.Writer, opts DumpOptions) error {
	g := newPager(fs, dir, noHome, 1)
	defer func() { _ = g.close() }()
	d := &dumper{ctx: ctx, g: g, w: bufio.NewWriter(w), opts: opts}
	fmt.Fprintf(d.w, "root generation %d tx %d lsn %d height %d entries %d pages %d\n", root.Generation, root.TxID, root.LSN, root.Height, root.Entries, root.Pages)
	if root.Page != 0 {
		d.page(root.page(), root.Height-1, nil)
	}
	files, pages, err := g.directory(root.directory())
	d.note(err)
	for _, id := range pages {
		fmt.Fprintf(d.w, "directory page %v\n", id)
	}
	for _, e := range files {
		fmt.Fprintf(d.w, "file %s live %d map %v\n", e.key.name(dir), e.live, e.bits.id)
	}
	if err := d.w.Flush(); err != nil {
		return err
	}
	if d.err == nil {
		d.err = ctx.Err()
	}
	return d.err
}

type dumper struct {
	ctx   context.Context
	g     *pager
	w     *bufio.Writer
	opts  DumpOptions
	pages int
	err   error
}

func (d *dumper) note(err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(d.w, "! %v\n", err)
	if d.err == nil {
		d.err = err
	}
}

func (d *dumper) page(r ref, level int, low []byte) {
	if d.ctx.Err() != nil || d.opts.Limit > 0 && d.pages >= d.opts.Limit {
		return
	}
	d.pages++
	kind := uint8(kindBranch)
	if level == 0 {
		kind = kindLeaf
	}
	p, err := d.g.read(r, kind, uint8(level))
	if err != nil {
		d.note(err)
		return
	}
	d.line(p, low)
	items := p.items(nil, low)
	if level > 0 {
		for _, it := range items {
			d.page(it.child, level-1, it.key)
		}
		return
	}
	if d.opts.Entries {
		d.entries(items)
	}
}

func (d *dumper) line(p *page, low []byte) {
	fmt.Fprintf(d.w, "%s %v level %d tx %d entries %d used %d prefix %d from %s\n", kindNames[p.kind], p.id, p.level, p.tx(), p.n, p.used(), p.plen, printable(low))
}

func (d *dumper) entries(items []item) {
	for _, it := range items {
		if it.big.size > 0 {
			fmt.Fprintf(d.w, "  %s = %d bytes at %v\n", printable(it.key), it.big.size, it.big.ref.id)
		} else {
			fmt.Fprintf(d.w, "  %s = %d bytes\n", printable(it.key), len(it.val))
		}
	}
}

// DumpPage prints one page, whether a root reaches it or not.
func DumpPage(fs fsbackend.FS, dir string, id PageID, w io.Writer) error {
	g := newPager(fs, dir, noHome, 1)
	defer func() { _ = g.close() }()
	p, err := g.load(id, 0)
	if err != nil {
		return err
	}
	d := &dumper{g: g, w: bufio.NewWriter(w)}
	d.line(p, nil)
	switch p.kind {
	case kindLeaf:
		d.entries(p.items(nil, nil))
	case kindBranch:
		for _, it := range p.items(nil, nil) {
			fmt.Fprintf(d.w, "  %s -> %v\n", printable(it.key), it.child.id)
		}
	case kindMap:
		fmt.Fprintf(d.w, "  %d pages in use\n", decodeMap(p.buf[pageHeaderBytes:]).count())
	case kindDirectory:
		body := p.buf[pageHeaderBytes:]
		for i := range p.n {
			e := decodeDirEntry(body[dirLinkBytes+i*dirEntryBytes:])
			fmt.Fprintf(d.w, "  file %s live %d map %v\n", e.key.name(dir), e.live, e.bits.id)
		}
		fmt.Fprintf(d.w, "  next %v\n", decodeLink(body).id)
	}
	return d.w.Flush()
}

// ParsePageID reads what PageID.String writes.
func ParsePageID(s string) (PageID, error) {
	var gen uint64
	var file uint32
	var page int
	if n, err := fmt.Sscanf(s, "%d/tree-%d/%d", &gen, &file, &page); n != 3 || err != nil || gen > maxGeneration || file > maxFileNumber || page < 0 || page >= maxFilePages {
		return 0, fault.New(fault.Invalid, "page %q is not written as generation/tree-file/number", s)
	}
	return makePageID(gen, file, page), nil
}

// printable returns a key for people: quoted text, or hex.
func printable(key []byte) string {
	if len(key) > 0 && !utf8.Valid(key) {
		return "0x" + hex.EncodeToString(key)
	}
	return fmt.Sprintf("%q", key)
}
