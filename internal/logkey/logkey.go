// Package logkey names the attributes of log records, one name per idea, so that logs of all services can be searched alike.
package logkey

// The names.
const (
	Bucket     = "bucket"
	Key        = "key"
	Object     = "object"
	Upload     = "upload"
	Pool       = "pool"
	File       = "file"
	Offset     = "offset"
	LSN        = "lsn"
	Generation = "generation"
	Service    = "service"
	Volume     = "volume"
	Host       = "host"
	Addr       = "addr"
	RequestID  = "request_id"
	User       = "user"
	Method     = "method"
	Status     = "status"
	Bytes      = "bytes"
	Duration   = "duration"
	Count      = "count"
	Error      = "error"
	Operation  = "operation"
	Received   = "received"
	Code       = "code"
	Agent      = "user_agent"
)
