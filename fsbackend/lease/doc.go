// Package lease decides who owns a service: at most one owner at a time may reply, however the mount's locks and clocks behave.
//
// A generation is a number that a claim made: the name gen/<g>.claim below the service's directory, created exclusively. Names are never deleted or
// reused; the highest one counts. A file is written only by the generation that created it, or by the next one under rule 5.
//
// # Rules
//
// They were checked by a randomised model; the wording is part of the result.
//
//  1. Renew, every 2N: t0 = now; list gen/; any claim above g ends this owner; only then deadline = t0 + 8N.
//  2. Proof of death covers every generation from the newest one with a durable manifest up to g-1, each by its own note;
//     otherwise wait 8N*1.05+N on the own clock since the own claim became durable. N is the largest of those concerned.
//  3. A note (release, seen exit) carries the nonce of the claim it speaks of. An unreadable claim counts as taken and has no proof.
//  4. A boot is proof only when it is later than the claim's. Boots of a host are numbered.
//  5. Inherit (go on writing the files of g-1) only if g-1, the last claim, itself has the newest manifest and left a clean release, and this is the same
//     host. A seen exit, a later boot or a release on another host only shorten the wait.
//  6. Release only after all issued I/O returned without error and replies have stopped; after an I/O error there is none.
//  7. Check after durability and before every reply (reads from memory too) and before every destructive step.
//
// Clocks are the local CLOCK_BOOTTIME; no clock is compared between hosts. Rates may differ by less than 8 %. A virtual machine whose clock
// stands still while it is paused breaks rule 2, and nothing here can repair that.
//
// A seen exit is a lock of a host-local file named after the claim's nonce that the kernel gave back. The file is locked before the claim is
// made and stays until no claim can need it: a missing file proves nothing.
//
// # Goroutines
//
// One per lease renews; Close waits for it. A timer ends the lease when the deadline passes while nobody asks, and OnLost is called in a goroutine
// of its own. Lock order: Lease.mu is the only lock and is not held during I/O.
package lease
