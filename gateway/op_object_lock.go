package gateway

import (
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// Object lock: the gateway reads and shows; the name server decides, in the transaction that removes a version or changes its retention.

const (
	formatBucketLock = 1
	bucketLockBytes  = 7 // format, mode (0 none, 1 governance, 2 compliance), unit (0 days, 1 years), uint32 count
)

// encodeBucketLock returns the value of cluster.AttrLock.
func encodeBucketLock(d *s3.DefaultRetention) []byte {
	b := make([]byte, bucketLockBytes)
	if b[0] = formatBucketLock; d == nil {
		return b
	}
	if b[1] = 1; d.Mode == s3.Compliance {
		b[1] = 2
	}
	n := d.Days
	if n == nil {
		b[2], n = 1, d.Years
	}
	binary.LittleEndian.PutUint32(b[3:], uint32(*n))
	return b
}

// decodeBucketLock reads what encodeBucketLock wrote; nil for a lock without a default.
func decodeBucketLock(b []byte) (*s3.DefaultRetention, error) {
	if len(b) != bucketLockBytes || b[0] != formatBucketLock || b[1] > 2 || b[2] > 1 {
		return nil, errAttr
	}
	if b[1] == 0 {
		return nil, nil
	}
	d := &s3.DefaultRetention{Mode: retentionMode(b[1] == 2)}
	n := int64(binary.LittleEndian.Uint32(b[3:]))
	if b[2] == 0 {
		d.Days = &n
	} else {
		d.Years = &n
	}
	return d, nil
}

func retentionMode(compliance bool) string {
	if compliance {
		return s3.Compliance
	}
	return s3.Governance
}

// lockedBucket returns an error unless the request's bucket has object lock.
func (c *call) lockedBucket() error {
	if attr(c.bkt.Attrs, cluster.AttrLock) == nil {
		return invalidRequest("Bucket is missing Object Lock Configuration")
	}
	return nil
}

// parseRetention reads a mode and a date in the future. name is what the client calls the date.
func (c *call) parseRetention(mode, until, name string) ([]byte, error) {
	if mode != s3.Governance && mode != s3.Compliance {
		return nil, badArgument("x-amz-object-lock-mode", mode, "Unknown wormMode directive.")
	}
	t, err := time.Parse(time.RFC3339, until)
	if err != nil || t.Year() > 9999 {
		return nil, badArgument(name, until, "The retain until date must be provided in ISO 8601 format")
	}
	if !t.After(c.g.clock()) {
		return nil, badArgument(name, until, "The retain until date must be in the future!")
	}
	return cluster.Retention{Compliance: mode == s3.Compliance, Until: t}.Encode(), nil
}

// asksLock reports whether the request itself asks for a retention or a legal hold.
func (c *call) asksLock() bool {
	h := c.r.Header
	return h["X-Amz-Object-Lock-Mode"] != nil || h["X-Amz-Object-Lock-Retain-Until-Date"] != nil || h["X-Amz-Object-Lock-Legal-Hold"] != nil
}

// newLocks returns attrs with the retention and legal hold of a new version: those of the request's headers, or the bucket's default.
func (c *call) newLocks(attrs []cluster.Attribute) ([]cluster.Attribute, error) {
	mode, until, hold := c.header("X-Amz-Object-Lock-Mode"), c.header("X-Amz-Object-Lock-Retain-Until-Date"), c.header("X-Amz-Object-Lock-Legal-Hold")
	conf := attr(c.bkt.Attrs, cluster.AttrLock)
	if mode == "" && until == "" && hold == "" && conf == nil {
		return attrs, nil
	}
	if conf == nil {
		return nil, c.lockedBucket()
	}
	switch hold {
	case "":
	case "ON", "OFF":
		attrs = withAttr(attrs, cluster.AttrLegalHold, cluster.EncodeLegalHold(hold == "ON"))
	default:
		return nil, badArgument("x-amz-object-lock-legal-hold", hold, "Legal Hold must be either of 'ON' or 'OFF'")
	}
	if (mode == "") != (until == "") {
		return nil, invalidArgument("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
	}
	if mode != "" {
		v, err := c.parseRetention(mode, until, "x-amz-object-lock-retain-until-date")
		return withAttr(attrs, cluster.AttrRetention, v), err
	}
	d, err := decodeBucketLock(conf)
	if err != nil || d == nil {
		return attrs, err
	}
	t := c.g.modified()
	if d.Days != nil {
		t = t.AddDate(0, 0, int(*d.Days))
	} else {
		t = t.AddDate(int(*d.Years), 0, 0)
	}
	return withAttr(attrs, cluster.AttrRetention, cluster.Retention{Compliance: d.Mode == s3.Compliance, Until: t}.Encode()), nil
}

// lockHeaders sets the headers that tell of an object's locks, each for who may ask for that lock by itself.
func (c *call) lockHeaders(e *cluster.Entry) error {
	if v := attr(e.Attrs, cluster.AttrRetention); v != nil {
		ok, err := c.mayAsWell(opGetObjectRetention)
		if err != nil {
			return err
		}
		r, err := cluster.ParseRetention(v)
		if err != nil {
			return err
		}
		if ok {
			c.set("x-amz-object-lock-mode", retentionMode(r.Compliance))
			c.set("x-amz-object-lock-retain-until-date", r.Until.Format("2006-01-02T15:04:05.000Z"))
		}
	}
	if v := attr(e.Attrs, cluster.AttrLegalHold); v != nil {
		ok, err := c.mayAsWell(opGetObjectLegalHold)
		if err != nil {
			return err
		}
		status, err := holdStatus(v)
		if err != nil {
			return err
		}
		if ok {
			c.set("x-amz-object-lock-legal-hold", status)
		}
	}
	return nil
}

func holdStatus(v []byte) (string, error) {
	on, err := cluster.ParseLegalHold(v)
	if on {
		return "ON", err
	}
	return "OFF", err
}

// bypasses reports whether the caller asks to bypass governance retentions, and may. Who may not is told so by the retention itself.
func (c *call) bypasses(key, version string) (bool, error) {
	if !strings.EqualFold(c.header("X-Amz-Bypass-Governance-Retention"), "true") {
		return false, nil
	}
	f := facts{c: c, version: version, versioned: version != "", bucket: c.bkt.ID, key: key}
	v, err := c.judge(c.rules, c.bkt, action{name: "s3:BypassGovernanceRetention"}, f)
	return v == allowed, err
}

// putObjectLockConfiguration answers PutObjectLockConfiguration, also for a bucket that was created without: it must have versioning.
func (g *Gateway) putObjectLockConfiguration(c *call) error {
	var doc s3.LockConfiguration
	if err := c.readDocument(maxSmallXML, &doc); err != nil {
		return err
	}
	if err := doc.Check(); err != nil {
		return err
	}
	var d *s3.DefaultRetention
	if doc.Rule != nil {
		d = doc.Rule.Default
	}
	err := g.updateBucket(c, func(b *cluster.Bucket) error {
		if b.Versioning != cluster.VersioningEnabled {
			return s3.ErrInvalidBucketState.With("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
		}
		b.Attrs = withAttr(b.Attrs, cluster.AttrLock, encodeBucketLock(d))
		return nil
	})
	if err != nil {
		return err
	}
	return c.replyEmpty(http.StatusOK)
}

// getObjectLockConfiguration answers GetObjectLockConfiguration.
func (g *Gateway) getObjectLockConfiguration(c *call) error {
	v := attr(c.bkt.Attrs, cluster.AttrLock)
	if v == nil {
		return s3.ErrObjectLockConfigurationNotFound
	}
	d, err := decodeBucketLock(v)
	if err != nil {
		return err
	}
	return c.replyXML(func(x *s3.XML) { s3.WriteLockConfiguration(x, d) })
}

// putObjectRetention answers PutObjectRetention; an empty document removes a retention.
func (g *Gateway) putObjectRetention(c *call) error {
	if err := c.lockedBucket(); err != nil {
		return err
	}
	var doc s3.ObjectRetention
	if err := c.readDocument(maxSmallXML, &doc); err != nil {
		return err
	}
	set := cluster.Attribute{ID: cluster.AttrRetention}
	if doc != (s3.ObjectRetention{}) {
		if doc.Mode != s3.Governance && doc.Mode != s3.Compliance || doc.Until == "" {
			return s3.ErrMalformedXML
		}
		var err error
		if set.Value, err = c.parseRetention(doc.Mode, doc.Until, "RetainUntilDate"); err != nil {
			return err
		}
	}
	return g.setLock(c, set)
}

// setLock sets one attribute of the version that the request names.
func (g *Gateway) setLock(c *call, set cluster.Attribute) error {
	e, err := g.updateEntry(c, set)
	if err != nil {
		return err
	}
	c.versionHeader(&e)
	return c.replyEmpty(http.StatusOK)
}

// lockOf returns an attribute of the version that the request names.
func (c *call) lockOf(id uint16) ([]byte, error) {
	if err := c.lockedBucket(); err != nil {
		return nil, err
	}
	e, err := c.lookupVersion()
	if err != nil {
		return nil, err
	}
	c.versionHeader(&e)
	v := attr(e.Attrs, id)
	if v == nil {
		return nil, s3.ErrNoSuchObjectLockConfiguration
	}
	return v, nil
}

// getObjectRetention answers GetObjectRetention.
func (g *Gateway) getObjectRetention(c *call) error {
	v, err := c.lockOf(cluster.AttrRetention)
	if err != nil {
		return err
	}
	r, err := cluster.ParseRetention(v)
	if err != nil {
		return err
	}
	return c.replyXML(func(x *s3.XML) { s3.WriteRetention(x, retentionMode(r.Compliance), r.Until) })
}

// putObjectLegalHold answers PutObjectLegalHold.
func (g *Gateway) putObjectLegalHold(c *call) error {
	if err := c.lockedBucket(); err != nil {
		return err
	}
	var doc s3.LegalHold
	if err := c.readDocument(maxSmallXML, &doc); err != nil {
		return err
	}
	if doc.Status != "ON" && doc.Status != "OFF" {
		return s3.ErrMalformedXML
	}
	return g.setLock(c, cluster.Attribute{ID: cluster.AttrLegalHold, Value: cluster.EncodeLegalHold(doc.Status == "ON")})
}

// getObjectLegalHold answers GetObjectLegalHold.
func (g *Gateway) getObjectLegalHold(c *call) error {
	v, err := c.lockOf(cluster.AttrLegalHold)
	if err != nil {
		return err
	}
	status, err := holdStatus(v)
	if err != nil {
		return err
	}
	return c.replyXML(func(x *s3.XML) { s3.WriteLegalHold(x, status) })
}
