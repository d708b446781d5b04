package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"ostor/gateway/s3"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// errorOfKind is the one table from fault kinds to S3 errors. What a kind means can depend on the operation (NotFound is a key to most of them): those operations turn
// the error into an *s3.Error themselves, and such an error goes out as it is.
var errorOfKind = map[fault.Kind]*s3.Error{
	fault.NotFound:         s3.ErrNoSuchKey,
	fault.Exists:           s3.ErrOperationAborted,
	fault.Stale:            s3.ErrServiceUnavailable, // ownership of a service is moving
	fault.Denied:           s3.ErrAccessDenied,
	fault.Invalid:          s3.ErrInvalidArgument,
	fault.NoSpace:          s3.ErrInsufficientStorage, // 507: the only class that tells a full disk from a broken one
	fault.Corrupt:          s3.ErrInternalError,
	fault.Unavailable:      s3.ErrServiceUnavailable,
	fault.Internal:         s3.ErrInternalError,
	fault.Precondition:     s3.ErrPreconditionFailed,
	fault.NotEmpty:         s3.ErrBucketNotEmpty,
	fault.NoBucket:         s3.ErrNoSuchBucket,
	fault.NoUpload:         s3.ErrNoSuchUpload,
	fault.InvalidPart:      s3.ErrInvalidPart,
	fault.PartOrder:        s3.ErrInvalidPartOrder,
	fault.PartTooSmall:     s3.ErrEntityTooSmall,
	fault.TooLarge:         s3.ErrEntityTooLarge,
	fault.GuardGone:        s3.ErrServiceUnavailable, // a name server restarted between guard and create: the same request succeeds
	fault.Truncated:        s3.ErrIncompleteBody,
	fault.NotSupported:     s3.ErrNotImplemented,
	fault.MethodNotAllowed: s3.ErrMethodNotAllowed,
}

// errorFor returns what a client is told about err. An *s3.Error anywhere in the chain decides: the verifying body's error comes back through an object server.
func errorFor(err error) *s3.Error {
	if e, ok := errors.AsType[*s3.Error](err); ok {
		return e
	}
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return s3.ErrMaxMessageLengthExceeded
	}
	if e, ok := errorOfKind[fault.KindOf(err)]; ok {
		return e
	}
	return s3.ErrInternalError
}

func invalidArgument(message string) *s3.Error { return s3.ErrInvalidArgument.With(message) }

// badArgument is invalidArgument that names the argument: a parameter, header or field as the client wrote it.
func badArgument(name, value, message string) error { return s3.BadArgument(name, value, message) }

func invalidRequest(message string) *s3.Error { return s3.ErrInvalidRequest.With(message) }

func notImplemented(what string) *s3.Error {
	return s3.ErrNotImplemented.With(what + " is not implemented.")
}

// fail sends the error document of err, or cuts the connection when the reply has begun already.
func (c *call) fail(err error) {
	e := errorFor(err)
	c.failure = e.Code
	if e.Status >= http.StatusInternalServerError && !errors.Is(e, s3.ErrNotImplemented) {
		c.g.logFailure(c, e, err)
	}
	if c.w.begun() {
		c.cut = true
		return
	}
	c.clearHeaders()
	if e.Status == http.StatusServiceUnavailable {
		c.set("Retry-After", "1")
	}
	if e.Status == http.StatusMethodNotAllowed {
		c.set("Allow", allowedMethods(c.address))
	}
	for i := range c.errorHeaders {
		c.set(c.errorHeaders[i].name, c.errorHeaders[i].value)
	}
	if e.Status == http.StatusNotModified {
		_ = c.replyEmpty(e.Status)
		return
	}
	// A client that still sends a large body may not read the reply before it has sent everything: the connection is closed instead of drained.
	if c.r.ContentLength > progressBytes && c.body.end.IsZero() {
		c.set("Connection", "close")
	}
	doc := s3.ErrorReply{Code: e.Code, Message: e.Message, Resource: resourceOf(c.r.URL), RequestID: c.id, HostID: c.g.hostID}
	if errors.Is(e, s3.ErrAuthorizationHeaderMalformed) || errors.Is(e, s3.ErrAuthorizationQueryParameters) {
		doc.Region = c.g.region // s3cmd, boto and minio-go sign again for it
		c.set("x-amz-bucket-region", c.g.region)
	}
	if doc.Details = s3.DetailsOf(err); doc.Details == nil {
		doc.Details = c.details(e)
	}
	_ = c.replyXMLStatus(e.Status, doc.Write)
}

// resourceOf is what an error document says it is about: the path, escaped as it came when it has characters that XML cannot say. A parser would refuse the document for them, and the
// client not see the code.
func resourceOf(u *url.URL) string {
	if strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == utf8.RuneError || r == 0xfffe || r == 0xffff }) {
		return u.EscapedPath()
	}
	return u.Path
}

// details says in an error document what the request was about, as S3 does: clients show it. Of a copy the error may be about the source.
func (c *call) details(e *s3.Error) []s3.Detail {
	if c.r.Header["X-Amz-Copy-Source"] != nil {
		return nil
	}
	bucket, key := s3.Detail{Name: "BucketName", Value: c.address.bucket}, s3.Detail{Name: "Key", Value: c.address.key}
	upload := s3.Detail{Name: "UploadId", Value: c.query.get("uploadId")}
	switch e.Code {
	case s3.ErrNoSuchBucket.Code, s3.ErrBucketNotEmpty.Code, s3.ErrBucketAlreadyExists.Code, s3.ErrBucketAlreadyOwnedByYou.Code, s3.ErrInvalidBucketName.Code, s3.ErrNoSuchBucketPolicy.Code,
		s3.ErrNoSuchCORSConfiguration.Code, s3.ErrNoSuchLifecycleConfiguration.Code, s3.ErrNoSuchPublicAccessBlock.Code, s3.ErrNoSuchTagSet.Code, s3.ErrNoSuchWebsiteConfiguration.Code,
		s3.ErrObjectLockConfigurationNotFound.Code, s3.ErrOwnershipControlsNotFound.Code, s3.ErrReplicationConfigurationNotFound.Code, s3.ErrServerSideEncryptionConfigNotFound.Code:
		return []s3.Detail{bucket}
	case s3.ErrNoSuchKey.Code:
		return []s3.Detail{key}
	case s3.ErrNoSuchVersion.Code:
		return []s3.Detail{key, {Name: "VersionId", Value: c.query.get("versionId")}}
	case s3.ErrNoSuchUpload.Code, s3.ErrInvalidPart.Code:
		return []s3.Detail{upload}
	case s3.ErrMethodNotAllowed.Code:
		return []s3.Detail{{Name: "Method", Value: c.r.Method}, {Name: "ResourceType", Value: resourceType(c.address)}}
	case s3.ErrPreconditionFailed.Code:
		return []s3.Detail{{Name: "Condition", Value: failedCondition(c.r)}}
	}
	return nil
}

func resourceType(a address) string {
	switch {
	case a.bucket == "":
		return "SERVICE"
	case a.key == "":
		return "BUCKET"
	}
	return "OBJECT"
}

// failedCondition names the header that a 412 is about. A read that If-None-Match stops is a 304, and If-Match overrules If-Unmodified-Since.
func failedCondition(r *http.Request) string {
	other := "If-None-Match"
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		other = "If-Unmodified-Since"
	}
	for _, name := range [...]string{"If-Match", other} {
		if r.Header[name] != nil {
			return name
		}
	}
	return ""
}

// logFailure logs a request that ended in a 5xx: what is damaged or our own mistake is for somebody to act on, the rest passes.
func (g *Gateway) logFailure(c *call, e *s3.Error, err error) {
	level := slog.LevelWarn
	switch fault.KindOf(err) {
	case fault.Corrupt, fault.Internal, fault.Other:
		level = slog.LevelError
	}
	if c.r.Context().Err() != nil {
		level = slog.LevelDebug // the client left
	}
	g.log.Log(context.WithoutCancel(c.r.Context()), level, "a request failed", slog.String(logkey.RequestID, c.id), slog.String("operation", c.op.String()),
		slog.String(logkey.Bucket, c.address.bucket), slog.String(logkey.Key, c.address.key), slog.Int(logkey.Status, e.Status), slog.Any(logkey.Error, err))
}

// allowedMethods lists the methods of a resource without sub-resource, for the Allow header.
func allowedMethods(a address) string {
	switch {
	case a.bucket == "":
		return "GET"
	case a.key == "":
		return "GET, HEAD, PUT, POST, DELETE"
	}
	return "GET, HEAD, PUT, POST, DELETE"
}
