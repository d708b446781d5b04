// Package sigv4 verifies AWS Signature Version 4 of S3 requests: in the Authorization header, in the query (presigned), and of chunks and trailers of a body.
// (Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)".)
//
// # Guarantees
//
// A verified [s3.Signature] covers the method, the path and query as they came, the host that the client addressed and every x-amz-* header that was sent: one that was
// added behind the signer's back makes the request fail. Nothing is repaired or guessed: a part that is missing, given twice or malformed is an error. An unknown access key takes the
// same steps as a wrong signature, and signatures are compared in constant time.
//
// # Concurrency
//
// A [Verifier] is safe for concurrent use and has no goroutines. Its cache of signing keys is bounded. The lock of the cache is held for a map access only.
package sigv4
