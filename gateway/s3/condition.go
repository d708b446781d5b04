package s3

import (
	"net/http"
	"strings"
	"time"
)

// Conditions are the headers that make a request depend on the object's state. The zero value always holds.
type Conditions struct {
	IfMatch           string    // as sent: "*" or ETags separated by commas; "" = none
	IfNoneMatch       string    // likewise
	IfModifiedSince   time.Time // zero = none, or not a date
	IfUnmodifiedSince time.Time // likewise
}

// ParseConditions reads the conditions of a GET or HEAD.
func ParseConditions(h http.Header) Conditions {
	return conditions(h, "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
}

// ParseCopyConditions reads those of the source of a copy.
func ParseCopyConditions(h http.Header) Conditions {
	return conditions(h, "X-Amz-Copy-Source-If-Match", "X-Amz-Copy-Source-If-None-Match", "X-Amz-Copy-Source-If-Modified-Since", "X-Amz-Copy-Source-If-Unmodified-Since")
}

func conditions(h http.Header, match, noneMatch, modified, unmodified string) (c Conditions) {
	if v := h[match]; len(v) > 0 {
		c.IfMatch = strings.Join(v, ",")
	}
	if v := h[noneMatch]; len(v) > 0 {
		c.IfNoneMatch = strings.Join(v, ",")
	}
	// RFC 9110, 13.1.3: a recipient must ignore a date that it cannot read.
	if v := h[modified]; len(v) == 1 {
		c.IfModifiedSince, _ = http.ParseTime(v[0])
	}
	if v := h[unmodified]; len(v) == 1 {
		c.IfUnmodifiedSince, _ = http.ParseTime(v[0])
	}
	return c
}

// IsZero reports whether there is no condition.
func (c *Conditions) IsZero() bool { return *c == Conditions{} }

// EvaluateRead decides for a GET or HEAD of an object with the given ETag, without quotes, and time. It returns ErrPreconditionFailed, ErrNotModified or nil. An ETag
// condition overrules the date of its kind (GetObject, "If-Match and If-Unmodified-Since"; RFC 9110, 13.2.2).
func (c *Conditions) EvaluateRead(etag string, modified time.Time) error {
	modified = modified.Truncate(time.Second) // HTTP dates have no more
	switch {
	case c.IfMatch != "":
		if !matchETag(c.IfMatch, etag) {
			return ErrPreconditionFailed
		}
	case !c.IfUnmodifiedSince.IsZero() && modified.After(c.IfUnmodifiedSince):
		return ErrPreconditionFailed
	}
	switch {
	case c.IfNoneMatch != "":
		if matchETag(c.IfNoneMatch, etag) {
			return ErrNotModified
		}
	case !c.IfModifiedSince.IsZero() && !modified.After(c.IfModifiedSince):
		return ErrNotModified
	}
	return nil
}

// EvaluateCopy decides for the source of a copy: as EvaluateRead, but every failure is ErrPreconditionFailed (CopyObject).
func (c *Conditions) EvaluateCopy(etag string, modified time.Time) error {
	if c.EvaluateRead(etag, modified) != nil {
		return ErrPreconditionFailed
	}
	return nil
}

// RangeHolds reports whether an If-Range header, if there is one, lets a Range have its effect: the object is the one of which the client has a part. Another one is sent whole, or
// a download that goes on would be made of both (RFC 9110, 13.1.5: strong comparison, and a date must be the very same).
func RangeHolds(h http.Header, etag string, modified time.Time) bool {
	v, ok := h["If-Range"]
	if !ok {
		return true
	}
	if len(v) != 1 || strings.HasPrefix(v[0], "W/") {
		return false
	}
	if t, err := http.ParseTime(v[0]); err == nil {
		return t.Equal(modified.Truncate(time.Second))
	}
	return TrimETag(v[0]) == etag
}

// matchETag reports whether etag is one of a list as in If-Match. Weak tags match by their text: an ETag of ours stands for exact bytes.
func matchETag(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		if t := TrimETag(tag); t == "*" || t == etag {
			return true
		}
	}
	return false
}
