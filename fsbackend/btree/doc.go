// Package btree keeps an ordered map in a copy-on-write B+tree of checksummed pages.
//
// A page is never changed in place. [Tree.Apply] merges a sorted run of changes into the tree: it writes new pages where nothing durable
// refers to, makes them durable, and then writes one slot of a ring of roots; that slot, once durable, is the point of no return.
// A crash before it leaves the old tree, a crash after it the new one. FORMAT.md describes the bytes.
//
// # Guarantees
//
//  1. When Apply returned nil the new state is durable. When it returned an error the tree is what it was.
//  2. A reader holds a [Snapshot] and sees one root, whatever is applied meanwhile.
//  3. A page is reused, and a file is unlinked, only after a root that does not need it is durable, then Options.Check has passed, and no
//     snapshot needs it.
//  4. A file is written only by the generation that its directory belongs to. Pages of older generations are read; when they are no longer
//     reachable they are forgotten, and a file of which no page is reachable is unlinked.
//  5. Every page carries its own address and checksum, and who refers to a page states its checksum again: damaged, misdirected, lost and
//     stale writes are all met as a located fault.Corruption, never as wrong data.
//
// # Space
//
// Each file of the home generation has one map page: a bit per page, set when the durable root reaches it. A checkpoint rewrites the maps
// of the files that it touched and the short directory of files. A freelist, in contrast, grows with what is free and would be
// rewritten with each checkpoint; finding the free pages by reachability at open would read every branch page of the tree before serving.
// A map costs 1/65536 of the file, and 100 million keys of 200 bytes have about a hundred maps. For older generations, whose pages are
// never reused, a count of reachable pages per file is enough.
//
// # Memory
//
// Apply holds about two pages of entries per level, one write buffer of 1 MiB, and eight bytes for each page that it frees.
// The cache holds verified pages up to Options.CacheBytes. The maps take 3 bits per page.
//
// # Goroutines and locks
//
// The package starts no goroutine that outlives a call. Apply runs one at a time (applyMu); snapshots and reads go on meanwhile. Lock order:
// Tree.applyMu, Tree.mu, pager.mu, cache shard. I/O is done under applyMu only, except that pager.mu is held while a file is opened.
package btree
