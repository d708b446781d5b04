// Package conform holds what an S3 endpoint must answer: tables of requests and expected replies, operation by operation, for three users. The tables know nothing of
// the servers behind the endpoint: integration/s3 runs them on a cluster in one process, integration/e2e on processes, also over FUSE.
//
// A case has a bucket of its own, {b} in its requests; {c} is a name that nobody has taken yet. The steps of a case run in order, cases beside each other.
//
// Source: Amazon S3 API Reference, the page of each operation, and "Error responses"; and what the conformance suites of the field expect where that is more than Amazon says.
package conform
