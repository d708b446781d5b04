// Package pools keeps the bytes of objects in blocks of twelve sizes, 4 KiB to 8 MiB.
//
// [Pools] is all pool files of one object server. Pool k has blocks of 4 KiB << k and is a row of files of bounded size in the directories
// gen/<g>/ of the service: FORMAT.md. [Split] says into which blocks an object is cut. Which blocks are in use is not written here:
// it is the region masks, records of the object server's tree ([RegionRecord]), that change in the same batch as the object's own record. What this
// package holds in memory is the busy set: blocks that the tree says are in use, and blocks that are reserved for objects being written.
//
// # Life of a block
//
//  1. Reserve marks a free block busy in memory. A crash frees it.
//  2. WriteBlock and WriteHeaders, then Sync: its bytes are durable. Or Sweep does all of that for many small payloads at once.
//  3. The owner's batch sets its bit in the tree: from now on it belongs to the object.
//  4. A later batch clears the bit. Once that is durable, the owner's lease was checked after it, and no reader can hold its address, Free makes it
//     free in memory. While anyone holds back frees with Hold (a sweep that may still write to blocks it looked up, a check), the
//     block stays busy until the last hold ends.
//
// # Invariants
//
//  1. Only files in the home generation's directory are written. Blocks of other generations are read and freed, never reserved.
//  2. A block that the tree says is in use is busy, from Open to Close.
//  3. A file is unlinked only when none of its blocks is busy, after it was retired (so none can become busy) and the owner's check passed.
//  4. After a write or sync failed for another reason than lack of space, nothing is written any more.
//
// # Goroutines and locks
//
// No goroutine outlives a call. Lock order: pool.mu, then file.mu; holdMu is taken alone. pool.mu is held while a new
// file of that pool is made, since everybody who waits for it needs that file. The map of files is replaced whole, so that readers take no lock.
package pools
