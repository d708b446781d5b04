// Package s3 is the S3 protocol without a server: what its messages look like and what is wrong with them. It imports nothing of this module.
//
//   - errors.go: the codes, as values
//   - body.go, chunked.go: the body of a request, verified while it is read
//   - checksum.go, crccombine.go, etag.go: digests and how those of parts make that of a whole
//   - range.go, condition.go: which bytes of an object, and whether at all
//   - names.go: what may be the name of a bucket and a key
//   - signature.go: what a verified signature says; packages sigv4 and sigv2 make it
//   - decodexml.go, *xml.go: documents of requests and replies
//
// # Guarantees
//
// No input makes a function panic, loop or use memory beyond stated bounds. A [Body] returns io.EOF only when everything that the client said about
// it was checked. Errors that a client sees are *[Error]. The package has no goroutines and no state.
package s3
