package nameserver

import (
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// checkConditions decides whether a write may take place over cur, the version that it would replace or remove: nil when there is none. A delete marker counts as no
// object. It returns fault.NotFound when something must match and nothing is there, fault.Precondition when a condition does not hold.
//
// Source: S3 User Guide, "Conditional requests"; RFC 9110, 13.1 (strong comparison).
func checkConditions(c *cluster.Condition, cur rawEntry) error {
	if c.IfMatch == "" && c.IfNoneMatch == "" && c.IfModified == nil && c.IfSize == nil {
		return nil
	}
	if cur == nil || cur.deleteMarker() {
		if c.IfMatch != "" || c.IfModified != nil || c.IfSize != nil {
			return fault.New(fault.NotFound, "a condition names an object that is not there")
		}
		return nil
	}
	e, err := decodeEntry(cur, "", detailList)
	if err != nil {
		return err
	}
	switch {
	case c.IfMatch != "" && c.IfMatch != "*" && c.IfMatch != e.ETag:
		return fault.New(fault.Precondition, "If-Match: the ETag is %q", e.ETag)
	case c.IfNoneMatch == "*":
		return fault.New(fault.Precondition, "If-None-Match: the object exists")
	case c.IfNoneMatch != "" && c.IfNoneMatch == e.ETag:
		return fault.New(fault.Precondition, "If-None-Match: the ETag is %q", e.ETag)
	case c.IfModified != nil && c.IfModified.Unix() != e.Modified.Unix():
		return fault.New(fault.Precondition, "the object was modified at %s", e.Modified)
	case c.IfSize != nil && *c.IfSize != e.Size:
		return fault.New(fault.Precondition, "the object has %d bytes", e.Size)
	}
	return nil
}
