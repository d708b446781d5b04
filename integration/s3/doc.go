// Package s3 holds what S3 clients see: tables of requests and expected replies for every operation, and real clients, over name servers and object servers on a file
// system in memory. It has only tests.
package s3
