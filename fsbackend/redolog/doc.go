// Package redolog is a write-ahead log of checksummed records in preallocated, recycled segment files, with group commit.
//
// # Guarantees
//
//  1. A record is durable only when every record before it is. [Log.Wait] returns nil only then.
//  2. What is read back is a prefix of what was appended, at least as long as what was ever reported durable. Damage inside that part is
//     reported as fault.Corruption; it never looks like the end of the log. (Each record says how far the log was durable when it was
//     written, so a valid record behind a damaged one tells damage from a torn tail.)
//  3. A recycled segment never shows an old record as a new one: the checksum covers home, file number and the use's sequence number.
//  4. After a failed write or sync the log is closed for good: nothing is retried, every later call returns the error.
//  5. Appending to a prepared segment needs no new space. When no segment is free, Append returns fault.NoSpace and nothing happened.
//
// # Group commit
//
// One committer writes: whatever was appended while the last fdatasync ran goes out in one write and one fdatasync. When the recent past
// says that more writers are under way it waits for them for a moment (docs/decisions/0003-group-commit-delay.md); a lone writer is never
// delayed. A lazy record does not start a commit for LazyDelay: it rides with the next.
//
// # Goroutines and locks
//
// The committer owns the tail of the log. The preparer keeps one zero-filled segment ready. Both end in [Log.Close]. The one lock is the
// caller's Options.Mu, so that the caller can keep state that agrees with the log's order; no I/O happens under it.
package redolog
