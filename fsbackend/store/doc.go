// Package store is the engine of both servers: an ordered map from keys to values, changed by atomic batches, made of a redo log, a
// memtable and a B-tree.
//
// # Guarantees
//
//  1. [Store.Update] returns nil only when its batch is durable and the owner's deadline was checked after that. A batch is one log record:
//     all of it or nothing survives.
//  2. Readers see a durable state ([Store.View], [Store.Snapshot]). A function that runs inside Update sees the newest state, so its
//     verdict, good or bad, is handed on only when what it saw is durable.
//  3. After a failed write or sync, or when ownership is lost, the store answers nothing more: every call returns fault.Unavailable or fault.Stale.
//     Nothing is retried. A full file system is no failure: writes get fault.NoSpace until there is room, reads go on. Nor is a
//     damaged page of the tree: it costs the keys in it, and when a checkpoint has to change it, writes get fault.Corrupt once the log is full.
//  4. Memory is bounded by two memtables, the tree's cache and the log's queue; recovery time by Options.LogBytes.
//
// # Layers
//
// A key is looked for in the active memtable, the frozen one (while a checkpoint runs) and the tree. When the active one is full it is
// frozen and merged into the tree; then the log that it came from is recycled. Memtables are copy-on-write trees of pointers: the state at
// the end of each group commit is kept as an O(1) copy and published when the group is durable, so readers never wait for writers.
//
// # Goroutines
//
// The checkpointer (checkpoint.go), and those of package redolog. Close ends them.
//
// # Lock order
//
// Store.writer > Store.mu > Store.pub. The writer lock is held while an Update function runs, while its batch waits for room in the log, and for the moment of
// freezing a memtable; the checkpointer never takes it. mu is also the log's lock; no I/O happens under mu or pub.
package store
