// Package intent completes what takes several steps when the gateway that began it dies on the way.
//
// Nearly everything that S3 asks for is one batch of one name server, whatever came before it: a bucket is created, an object is named, an upload is completed, or not. What was prepared, the
// bytes of an object, is freed when its guard expires. The deletion of a bucket is not like that: it seals the bucket on every name server and then removes its record. So it is announced in a record of
// the service bucket, below /tmp/ (FORMAT.md), before the first step, and the record is removed after the last one.
//
// A [Finisher] runs in every gateway. It looks at the records, and one that has not changed for [Patience] on its own clock (clocks are not compared) is of somebody who died, or cannot go on. It claims it
// by a conditional change, so that one works on it at a time, for [AttemptTimeout] at most; and if that one dies too, the record stands still again.
//
// # Invariants
//
//  1. The record is durable before the first seal and goes after the bucket is whole again, or gone, everywhere.
//  2. The bucket's record is removed only while it has the epoch for which every name server was sealed.
//  3. Seals of an epoch are taken back only after the bucket's record was seen with a later one.
//
// By 2 and 3, whoever is slow and does not know that another one took over does no harm: what he still does is refused (fault.Stale), or changes nothing. So claims need not exclude; they save work.
//
// What was not finished is undone: nobody was told that the bucket is gone. A forced deletion, which has given up what the bucket held, is finished.
package intent
