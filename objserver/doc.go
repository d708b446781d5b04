// Package objserver is the object server: the bytes of objects, in pools, under an object tree.
//
// [Server] implements cluster.ObjectServer over package pools (blocks) and package store (records). FORMAT.md describes the records.
//
// # Guarantees
//
//  1. An object exists when its record is durable in the store, and its bytes were durable before or with it: large payloads are written to blocks and synced
//     first; payloads of at most SmallBytes ride in the same log record and reach their blocks in the sweep of the next checkpoint.
//  2. The region records of the pools change in the batch of the object record. A crash leaks nothing: what no record has is free.
//  3. A block of a deleted or moved object is free for others only after the batch is durable, the lease was checked after that, the last read that may know its address
//     ended, and no sweep is running that looked it up before.
//  4. Every byte that is read was verified against the checksum in the object's record.
//  5. After a failed write or sync, other than for lack of space, the owner is told to fail and every call returns fault.Unavailable.
//  6. Blocks of earlier generations' files are read and freed, never written: the mover takes what lives in them to files of the home
//     generation, and their files are unlinked when they are empty.
//
// # Memory
//
// Payloads pass through buffers of 1 MiB from one budget (Options.BufferBytes); who gets none goes on with 64 KiB. Small payloads are held once, by the store's
// memtable until the next checkpoint, and the store bounds that.
//
// # Goroutines
//
//   - the janitor, from Open to Close: moves strays, old generations' blocks and those of sparse regions, retires empty files, punches empty regions;
//   - the search for orphans (orphans.go), from Open to Close, when the name servers are known;
//   - the scrub (scrubber.go), from Open to Close;
//   - up to three per read of more than 1 MiB, one per create of more than 32 MiB, all ended when the call returns;
//   - those of the store, one of which calls sweep.
//
// # Locks
//
// During I/O only the locks of package patient are held: open by each call, collect and orphans by a round; package pools holds one while it makes a file. Order: store's write lock, pools, pins shard.
package objserver
